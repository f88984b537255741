//! What replication went through: counted, and said to whoever asks.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::Lab;

const SOON: Duration = Duration::from_secs(10);

/// The place of a process that was killed is taken by the next one: that is a fence, and nobody else.
#[test]
fn a_signal_asks_for_the_counters() {
    let mut lab = Lab::start();
    let ask = |lab: &Lab| {
        let pid = Pid::from_raw(lab.node().id().cast_signed()).unwrap();
        kill_process(pid, Signal::USR1).unwrap();
    };
    ask(&lab);
    let nothing = [
        "replication since the start",
        "isr_shrinks=0",
        "fences_restart=0",
    ];
    assert!(lab.node().says(&nothing, SOON));
    lab.crash_and_restart();
    ask(&lab);
    let fence = ["a broker is fenced", "another process of the broker"];
    assert!(lab.node().says(&fence, SOON));
    let counted = [
        "replication since the start",
        "fences_session=0",
        "fences_restart=1",
    ];
    assert!(lab.node().says(&counted, SOON));
}

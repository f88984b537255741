//! One log: what is appended can be read, and only that.

use std::path::Path;
use std::sync::Arc;

use ottla_jepsen::disk::SimDisk;
use ottla_storage::Offset;

use crate::support::*;

fn bench() -> Bench {
    start(Arc::new(SimDisk::new().mount()), Path::new("/data")).unwrap()
}

#[test]
fn what_is_appended_is_read_across_segments() {
    let bench = bench();
    let mut log = bench.create(key(0), &small_config()).unwrap();
    let mut expected = Vec::new();
    for i in 0..100_u32 {
        let value = format!("value {i}");
        append_values(&mut log, epoch(1), &[&value]);
        expected.push((i64::from(i), value));
    }
    bench.dir.run_pending();
    assert_eq!(contents(&log), expected);
    assert_eq!(log.log_end(), offset(100));
    assert_eq!(
        log.view().end_offset_for(epoch(1)).unwrap().end,
        offset(100)
    );
    bench.settle();
    assert_eq!(log.flushed_end(), offset(100));
    assert!(!bench.dir.log(key(0)).unwrap().is_dirty);
    bench.close(log);
    let log = bench.create(key(0), &small_config()).unwrap();
    assert_eq!(contents(&log), expected);
    assert_eq!(log.log_start(), Offset::ZERO);
}

//! The life of a broker, event by event.

use super::*;

const INTERVAL: Duration = Duration::from_secs(2);

/// A life and the time it takes place at.
struct Story {
    life: Life,
    now: MonoMillis,
}

impl Story {
    fn begin() -> Self {
        let now = MonoMillis::from_millis(1_000);
        Self {
            life: Life::new(now, INTERVAL),
            now,
        }
    }

    fn on(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.life.handle(self.now, event, &mut effects);
        effects
    }

    /// Goes on to when something is due.
    fn next(&mut self) -> (Duration, Vec<Effect>) {
        let due = self.life.next_deadline().unwrap();
        let waited = due.since(self.now);
        self.now = self.now.max(due);
        (waited, self.on(Event::Tick))
    }

    /// A broker that was let in, its next heartbeat an interval away.
    fn running() -> Self {
        let mut story = Self::begin();
        assert_eq!(story.on(Event::Tick), [Effect::Register]);
        assert_eq!(story.on(Event::Registered(epoch())), [beat(true, false)]);
        story.on(standing(true, true));
        assert_eq!(story.on(Event::Ready), [beat(false, false)]);
        assert_eq!(
            story.on(standing(true, false)),
            [Effect::Entered(State::Running)]
        );
        story
    }
}

/// Whose disk hangs keeps no leadership by its heartbeats, and does not ask every few milliseconds to have it back.
#[test]
fn a_broker_that_nobody_can_vouch_for_asks_to_be_fenced_until_somebody_can() {
    let mut story = Story::running();
    assert_eq!(story.on(Event::Vouched(true)), []);
    assert_eq!(story.on(Event::Vouched(false)), [beat(true, false)]);
    story.on(standing(true, true));
    assert_eq!(story.on(Event::Vouched(false)), []);
    assert_eq!(story.next(), (INTERVAL, vec![beat(true, false)]));
    story.on(standing(true, true));
    assert_eq!(story.on(Event::Vouched(true)), [beat(false, false)]);
}

fn epoch() -> BrokerEpoch {
    BrokerEpoch::from_wire(7).unwrap()
}

fn beat(wants_fence: bool, wants_shut_down: bool) -> Effect {
    Effect::Beat {
        wants_fence,
        wants_shut_down,
    }
}

fn standing(is_caught_up: bool, is_fenced: bool) -> Event {
    Event::Beaten(Standing {
        is_caught_up,
        is_fenced,
        should_shut_down: false,
    })
}

const LET_GO: Event = Event::Beaten(Standing {
    is_caught_up: true,
    is_fenced: false,
    should_shut_down: true,
});

const STOP: Event = Event::Stop {
    patience: Duration::from_secs(30),
};

#[test]
fn a_broker_registers_catches_up_makes_ready_and_is_let_in() {
    let mut story = Story::begin();
    assert_eq!(story.on(Event::Tick), [Effect::Register]);
    assert_eq!(story.on(Event::Registered(epoch())), [beat(true, false)]);
    assert_eq!(story.on(standing(false, true)), []);
    assert_eq!(story.next(), (SOON, vec![beat(true, false)]));
    let entered = Effect::Entered(State::Recovery);
    assert_eq!(story.on(standing(true, true)), [entered]);
    // Nothing changes until it is ready, so the usual interval does.
    assert_eq!(story.next(), (INTERVAL, vec![beat(true, false)]));
    // Ready while a heartbeat is out: the next one goes as soon as that one is answered.
    assert_eq!(story.on(Event::Ready), []);
    assert_eq!(story.on(standing(true, true)), [beat(false, false)]);
    let entered = Effect::Entered(State::Running);
    assert_eq!(story.on(standing(true, false)), [entered]);
    assert_eq!(story.next(), (INTERVAL, vec![beat(false, false)]));
}

/// A node alone is ready before the first heartbeat that says it has caught up: it must not wait for the second.
#[test]
fn a_broker_that_is_ready_early_is_let_in_by_one_answer() {
    let mut story = Story::begin();
    story.on(Event::Tick);
    story.on(Event::Registered(epoch()));
    story.on(standing(false, true));
    assert_eq!(story.on(Event::Ready), [beat(false, false)]);
    let steps = [State::Recovery, State::Running].map(Effect::Entered);
    assert_eq!(story.on(standing(true, false)), steps);
}

#[test]
fn an_answer_from_before_it_was_ready_lets_nobody_in() {
    let mut story = Story::begin();
    story.on(Event::Tick);
    story.on(Event::Registered(epoch()));
    assert_eq!(
        story.on(standing(true, false)),
        [Effect::Entered(State::Recovery)]
    );
    assert_eq!(story.life.state(), State::Recovery);
}

#[test]
fn after_a_failure_the_next_call_waits_longer_each_time() {
    let mut story = Story::begin();
    story.on(Event::Tick);
    let mut last = Duration::ZERO;
    for _ in 0..20 {
        assert_eq!(story.on(Event::Failed), []);
        assert_eq!(story.on(Event::Urgent), [], "nothing is urgent now");
        let (waited, effects) = story.next();
        assert_eq!(effects, [Effect::Register]);
        assert!(waited >= last && waited <= BACKOFF_MAX);
        last = waited;
    }
    assert_eq!(last, BACKOFF_MAX);
    story.on(Event::Registered(epoch()));
    story.on(Event::Failed);
    assert_eq!(story.next().0, BACKOFF_MIN);
}

#[test]
fn one_call_is_out_at_a_time() {
    let mut story = Story::running();
    assert_eq!(story.on(Event::Urgent), [beat(false, false)]);
    assert_eq!(story.on(Event::Urgent), []);
    assert_eq!(story.life.next_deadline(), None);
    story.now = story.now.saturating_add(INTERVAL * 5);
    assert_eq!(story.on(Event::Tick), []);
    assert_eq!(story.on(standing(true, false)), [beat(false, false)]);
    assert_eq!(story.on(standing(true, false)), []);
}

#[test]
fn a_lost_registration_is_made_again_and_a_lost_session_asked_for() {
    let mut story = Story::running();
    story.next();
    assert_eq!(story.on(Event::Stale), [Effect::Register]);
    assert_eq!(story.on(Event::Registered(epoch())), [beat(false, false)]);
    assert_eq!(story.on(standing(false, true)), []);
    assert_eq!(story.next(), (SOON, vec![beat(false, false)]));
    story.on(standing(true, false));
    assert_eq!(story.life.state(), State::Running);
    assert_eq!(story.next().0, INTERVAL);
}

#[test]
fn a_broker_is_let_go_before_it_stops() {
    let mut story = Story::running();
    let pending = Effect::Entered(State::PendingControlledShutdown);
    assert_eq!(story.on(STOP), [pending, beat(false, true)]);
    assert_eq!(story.on(standing(true, false)), []);
    assert_eq!(story.next(), (SOON, vec![beat(false, true)]));
    assert_eq!(story.on(LET_GO), [Effect::Entered(State::ShuttingDown)]);
    assert_eq!(story.life.next_deadline(), None);
}

#[test]
fn a_broker_that_was_never_let_in_or_is_alone_stops_at_once() {
    let over = [Effect::Entered(State::ShuttingDown)];
    let mut story = Story::begin();
    story.on(Event::Tick);
    assert_eq!(story.on(STOP), over);
    let mut story = Story::running();
    let patience = Duration::ZERO;
    assert_eq!(story.on(Event::Stop { patience }), over);
}

#[test]
fn no_controller_holds_up_a_stop_for_ever() {
    let over = vec![Effect::Entered(State::ShuttingDown)];
    // Nothing is heard of it.
    let mut story = Story::running();
    let stopped = story.now;
    story.on(STOP);
    while story.life.state() != State::ShuttingDown {
        story.on(Event::Failed);
        story.next();
    }
    assert_eq!(story.now.since(stopped), SILENCE_MAX);
    // A call that is never answered.
    let mut story = Story::running();
    story.on(STOP);
    assert_eq!(story.next(), (SILENCE_MAX, over));
    // It answers, and does not let go.
    let mut story = Story::running();
    let stopped = story.now;
    story.on(STOP);
    while story.life.state() != State::ShuttingDown {
        story.on(standing(true, false));
        story.next();
    }
    assert_eq!(story.now.since(stopped), Duration::from_secs(30));
}

//! Subscriptions by regular expression.

use super::*;

fn by_pattern(member: &str, pattern: &str) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        topics: None,
        topics_regex: Some(pattern.into()),
        ..join(member, &[])
    }
}

#[test]
fn a_pattern_means_the_topics_that_it_matches() {
    let mut world = World::new(&[("ta", 1), ("tb", 1), ("u", 1), ("__consumer_offsets", 1)]);
    let heard = world.heard(&by_pattern("m", "t."));
    assert_eq!(heard.assignment.unwrap().len(), 2);
    let subscribed = world.group.subscribed_topics();
    let is_subscribed = |name: &str| subscribed.iter().any(|topic| &***topic == name);
    assert!(is_subscribed("ta") && !is_subscribed("u"));
    // As in Kafka, internal topics are topics.
    let heard = world.heard(&by_pattern("m", ".*"));
    assert_eq!((heard.epoch, heard.assignment.unwrap().len()), (2, 4));
    assert_eq!(world.group.subscribed_topics().len(), 4);
}

#[test]
fn a_pattern_and_names_add_up() {
    let mut world = World::new(&[("ta", 1), ("u", 1)]);
    let both = ConsumerHeartbeat {
        topics_regex: Some("t.*".into()),
        ..join("m", &["u"])
    };
    assert_eq!(world.heard(&both).assignment.unwrap().len(), 2);
}

#[test]
fn a_pattern_that_is_none_is_refused_and_changes_nothing() {
    let mut world = World::new(&[("t", 1)]);
    let refused = world.refused(&by_pattern("m", "t("));
    assert!(matches!(refused, GroupError::InvalidRegularExpression(_)));
    assert!(world.group.is_nothing());
    // Nor does a member lose its place by it, or an instance its own.
    world.heard(&of_instance("i", join("m", &["t"])));
    world.heard(&of_instance("i", beat("m", -2)));
    world.refused(&of_instance("i", by_pattern("n", "[")));
    assert_eq!(world.current("m").epoch, -2);
}

#[test]
fn new_topics_are_found_at_most_every_ten_seconds() {
    let mut world = World::new(&[("ta", 1)]);
    world.heard(&by_pattern("m", "t.*"));
    world.create("tb", 1);
    world.pass(10);
    assert_eq!(world.heard(&beat("m", 1)).assignment, None);
    world.pass(1);
    let heard = world.heard(&beat("m", 1));
    assert_eq!((heard.epoch, heard.assignment.unwrap().len()), (2, 2));
    let written = world.log.len();
    world.pass(11);
    world.heard(&beat("m", 2));
    assert_eq!(world.log.len(), written, "nothing is new");
}

#[test]
fn topics_that_are_gone_leave_the_assignment_without_the_wait() {
    let mut world = World::new(&[("ta", 1), ("tb", 1)]);
    world.heard(&by_pattern("m", "t.*"));
    world.delete("tb");
    let heard = world.heard(&beat("m", 1));
    assert_eq!(heard.assignment.unwrap().len(), 1);
}

#[test]
fn a_loaded_group_finds_what_it_missed() {
    let mut world = World::new(&[("ta", 1)]);
    world.heard(&by_pattern("m", "t.*"));
    world.create("tb", 1);
    world.move_coordinator();
    assert_eq!(world.heard(&beat("m", 1)).assignment.unwrap().len(), 2);
}

#[test]
fn a_pattern_that_nobody_wants_is_forgotten() {
    let mut world = World::new(&[("ta", 1)]);
    world.heard(&by_pattern("m", "t.*"));
    world.heard(&by_pattern("n", "t.*"));
    world.heard(&beat("n", -1));
    assert_eq!(world.group.facts.patterns().len(), 1);
    // An empty pattern is none.
    let epoch = world.current("m").epoch;
    let no_more = ConsumerHeartbeat {
        topics_regex: Some("".into()),
        ..beat("m", epoch)
    };
    let heard = world.heard(&no_more);
    assert_eq!(heard.assignment, Some(Partitions::new()));
    assert!(world.group.facts.patterns().is_empty());
    world.heard(&by_pattern("o", "ta"));
    world.heard(&beat("o", -1));
    assert!(world.group.facts.patterns().is_empty());
}

#[test]
fn a_pattern_that_the_log_does_not_resolve_is_resolved() {
    let mut world = World::new(&[("ta", 1)]);
    world.heard(&by_pattern("m", "t.*"));
    let forget = Fact::ConsumerRegex("t.*".into(), None);
    world.event(|group, _, fx| group.write(forget, fx));
    world.move_coordinator();
    world.heard(&beat("m", 1));
    assert_eq!(world.group.facts.patterns().len(), 1);
}

/// A member that brought another pattern with each heartbeat had the coordinator match all names each time.
#[test]
fn new_patterns_beyond_a_few_wait_until_all_are_resolved() {
    let mut world = World::new(&[("ta", 1)]);
    let mut epoch = JOIN;
    for n in 0..20 {
        let changed = ConsumerHeartbeat {
            epoch,
            ..by_pattern("m", &format!("ta|x{n}"))
        };
        epoch = world.heard(&changed).epoch;
        assert_eq!(
            world.group.facts.patterns().len(),
            usize::from(n < 4),
            "{n}"
        );
    }
    assert_eq!(world.current("m").assigned, Partitions::new());
    // What makes no sense is refused all the same.
    let bad = ConsumerHeartbeat {
        epoch,
        ..by_pattern("m", "(")
    };
    world.refused(&bad);
    world.pass(11);
    let heard = world.heard(&beat("m", epoch));
    assert_eq!(heard.assignment, Some(world.of("ta", &[0])));
    assert!(world.group.facts.patterns().contains_key("ta|x19"));
    // The next few need not wait.
    let other = by_pattern("n", "ta|y");
    world.heard(&other);
    assert_eq!(world.group.facts.patterns().len(), 2);
}

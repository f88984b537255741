"""Each promise of lib/ownership.py, kept and broken: what is broken is found, and nothing else."""

import unittest

from ownership import History, violations

PRODUCED = {(0, 0): "a", (0, 1): "b", (1, 0): "c"}


def event(at, kind, **more):
    return {"at": at, "e": kind, **more}


def record(at, partition, offset):
    return event(at, "record", p=partition, o=offset, v=PRODUCED[partition, offset])


def group(**changed):
    """Two members in order: x owns both partitions, gives one to y, and each commits what it has processed."""
    x = [event(10, "assigned", p=[0, 1], gen=1), record(11, 0, 0), event(12, "committed", offsets={"0": 1}),
         event(20, "revoked", p=[0, 1], gen=1), event(30, "assigned", p=[1], gen=2), record(31, 1, 0),
         event(32, "committed", offsets={"1": 1}), event(40, "revoked", p=[1], gen=2), event(41, "left")]
    y = [event(29, "assigned", p=[0], gen=2), record(33, 0, 1), event(34, "committed", offsets={"0": 2}),
         event(42, "revoked", p=[0], gen=2), event(43, "left")]
    found = {"x": History("x", x), "y": History("y", y), 
             "observed": [(5, 6, {}), (13, 14, {0: 1}), (35, 36, {0: 2, 1: 1})],
             "protocol": "classic", **changed}
    return violations([found["x"], found["y"]], PRODUCED, found["observed"], found["protocol"])


class Promises(unittest.TestCase):
    def one(self, found, words):
        self.assertEqual(1, len(found), found)
        self.assertIn(words, found[0])

    def test_a_group_in_order_breaks_nothing(self):
        self.assertEqual([], group())

    def test_a_record_that_nobody_processed(self):
        y = History("y", [event(29, "assigned", p=[0], gen=2), event(43, "left")])
        self.one(group(y=y, observed=[]), "1 of 3 records were never processed")

    def test_a_record_that_was_read_as_another(self):
        y = History("y", [event(29, "assigned", p=[0], gen=2), event(33, "record", p=0, o=1, v="z"), event(43, "left")])
        self.one(group(y=y, observed=[]), "was read as {'z'}, produced was 'b'")

    def y_too_early(self, generation, how="revoked", protocol="classic", ended=None, last=1):
        x = [event(10, "assigned", p=[0, 1], gen=1), record(11, 0, 0), record(12, 1, 0)]
        x += [event(25, how, p=[0, 1], gen=last), event(26, "left")] if not ended else []
        y = [event(20, "assigned", p=[0], gen=generation), record(33, 0, 1), event(40, "left")]
        return group(x=History("x", x, ended), y=History("y", y), observed=[], protocol=protocol)

    def test_two_owners_in_one_generation(self):
        self.one(self.y_too_early(1), "partition 0 is owned by y (generation 1)")

    def test_two_owners_of_which_one_tells_no_generation(self):
        self.one(self.y_too_early(None), "partition 0 is owned by y (generation None)")

    def test_two_owners_when_one_is_given_up_by_a_classic_group(self):
        self.assertEqual([], self.y_too_early(2))

    def test_a_later_member_epoch_excuses_nothing(self):
        self.one(self.y_too_early(2, protocol="consumer"), "partition 0 is owned by y (generation 2)")

    def test_an_owner_that_lost_it_is_excused(self):
        self.assertEqual([], self.y_too_early(2, how="lost", protocol="consumer"))

    def test_a_dead_owner_owns_until_its_death(self):
        self.assertEqual([], self.y_too_early(1, ended=19))
        self.one(self.y_too_early(1, ended=25), "died it")

    def test_a_partition_kept_into_the_next_generation_is_owned_there(self):
        x = History("x", [event(10, "assigned", p=[0, 1], gen=1), record(11, 0, 0), record(12, 1, 0),
                          event(15, "assigned", p=[], gen=2), event(40, "left")])
        y = History("y", [event(20, "assigned", p=[0], gen=2), record(33, 0, 1), event(41, "left")])
        self.one(group(x=x, y=y, observed=[]), "x (generations 1-2)")

    def test_a_partition_given_back_in_the_next_generation_was_owned_there(self):
        self.one(self.y_too_early(2, last=2), "x (generations 1-2)")
        self.assertEqual([], self.y_too_early(3, last=2))

    def test_a_partition_that_was_lost_is_not_owned_until_it_is_said(self):
        self.assertEqual([], self.y_too_early(2, how="lost", last=2))

    def test_a_committed_offset_that_goes_back(self):
        self.one(group(observed=[(45, 46, {0: 7}), (47, 48, {0: 6})]), "went from 7 back to 6")

    def test_a_committed_offset_that_is_gone(self):
        self.one(group(observed=[(9, 10, {0: 1}), (11, 12, {0: -1})]), "went from 1 back to -1")

    def test_an_acknowledged_commit_that_is_not_found(self):
        self.one(group(observed=[(13, 14, {0: 0})]), "the commit of 1 in partition 0 was acknowledged, and 0 is found")

    def test_an_owner_that_begins_before_what_was_acknowledged(self):
        y = History("y", [event(29, "assigned", p=[0], gen=2), record(33, 0, 0), record(33, 0, 1), event(43, "left")])
        self.one(group(y=y, observed=[]), "y began partition 0 at 0, though 1 was acknowledged")

    def test_an_owner_that_begins_before_what_somebody_was_told(self):
        x = [event(10, "assigned", p=[0], gen=1), record(11, 0, 0), event(20, "revoked", p=[0], gen=1), event(21, "left")]
        y = [event(29, "assigned", p=[0, 1], gen=2), *(record(33, p, o) for p, o in PRODUCED), event(43, "left")]
        histories = {"x": History("x", x), "y": History("y", y)}
        self.one(group(**histories, observed=[(13, 14, {0: 1})]), "y began partition 0 at 0, though 1 was acknowledged")
        self.assertEqual([], group(**histories, observed=[(28, 30, {0: 1})]))

    def test_an_owner_that_claims_what_it_had_lost(self):
        """Excused with a client of which that is known, and only in the first assignment after the loss."""
        x = [event(10, "assigned", p=[1], gen=1), record(11, 1, 0), event(12, "assigned", p=[0, 1], gen=2), record(13, 0, 0),
             event(30, "revoked", p=[0], gen=3), event(40, "left")]
        def y(before):
            return [event(5, "assigned", p=[0], gen=1), event(8, "lost", p=[0]), *before, event(29, "assigned", p=[0], gen=3),
                    record(33, 0, 1), event(41, "left")]
        excused = group(x=History("x", x), y=History("y", y([]), None, True), observed=[])
        self.assertEqual([], excused)
        self.one(group(x=History("x", x), y=History("y", y([])), observed=[]), "partition 0 is owned by y (generation 3)")
        later = y([event(9, "assigned", p=[], gen=2)])
        found = group(x=History("x", x), y=History("y", later, None, True), observed=[])
        self.one(found, "partition 0 is owned by y (generation 3)")


if __name__ == "__main__":
    unittest.main()

use super::*;

fn cache(entries: &[(i32, u64)]) -> LeaderEpochCache {
    let mut cache = LeaderEpochCache::new();
    for (epoch, start) in entries {
        assert!(cache.assign(LeaderEpoch::new(*epoch), Offset::new(*start)));
    }
    assert_eq!(list(&cache), entries);
    cache
}

fn list(cache: &LeaderEpochCache) -> Vec<(i32, u64)> {
    cache.entries().iter().map(|entry| (entry.epoch.get(), entry.start.get())).collect()
}

fn end(cache: &LeaderEpochCache, epoch: i32, log_end: u64) -> Option<(i32, u64)> {
    let found = cache.end_offset_for(LeaderEpoch::new(epoch), Offset::new(log_end));
    found.map(|(epoch, end)| (epoch.get(), end.get()))
}

/// EPO-01, EPO-03, EPO-04, EPO-05, EPO-07.
#[test]
fn an_assignment_displaces_what_contradicts_it() {
    for (before, (epoch, start), after) in [
        (&[][..], (2, 9), &[(2, 9)][..]),
        (&[(2, 9)], (3, 9), &[(3, 9)]),
        (&[(2, 6)], (3, 5), &[(3, 5)]),
        (&[(1, 5), (2, 6)], (1, 7), &[(1, 7)]),
        (&[(5, 11), (6, 12), (7, 13)], (7, 12), &[(5, 11), (7, 12)]),
        (&[(2, 6)], (2, 10), &[(2, 6)]),
        (&[(2, 6)], (2, 6), &[(2, 6)]),
        (&[(2, 6)], (2, 5), &[(2, 5)]),
        (&[(2, 6)], (3, 10), &[(2, 6), (3, 10)]),
        (&[(2, 6), (3, 10)], (-1, 20), &[(2, 6), (3, 10)]),
        (&[(2, 6), (3, 10), (4, 20)], (1, 30), &[(1, 30)]),
        (&[(2, 6), (3, 10), (4, 20)], (3, 30), &[(2, 6), (3, 30)]),
        (&[(2, 6), (3, 10), (4, 20)], (9, 7), &[(2, 6), (9, 7)]),
    ] {
        let mut cache = cache(before);
        let news = cache.assign(LeaderEpoch::new(epoch), Offset::new(start));
        assert_eq!(list(&cache), after, "{before:?} then ({epoch}, {start})");
        assert_eq!(news, before != after, "{before:?} then ({epoch}, {start})");
    }
}

/// EPO-01, EPO-02, EPO-06.
#[test]
fn an_epoch_ends_where_the_next_one_starts() {
    let three = cache(&[(2, 10), (4, 20), (7, 30)]);
    for (epoch, expected) in [
        (-1, None),
        (0, Some((0, 10))),
        (1, Some((1, 10))),
        (2, Some((2, 20))),
        (3, Some((2, 20))),
        (4, Some((4, 30))),
        (6, Some((4, 30))),
        (7, Some((7, 55))),
        (8, None),
        (i32::MAX, None),
    ] {
        assert_eq!(end(&three, epoch, 55), expected, "{epoch}");
    }
    assert_eq!(end(&LeaderEpochCache::new(), 0, 55), None);
    assert_eq!(end(&LeaderEpochCache::new(), -1, 55), None);
}

/// EPO-08.
#[test]
fn a_log_of_many_leaders_knows_where_each_ended() {
    let mut cache = LeaderEpochCache::new();
    for (epoch, offset) in [(0, 0), (0, 1), (0, 2), (1, 3), (1, 4), (3, 5), (3, 6), (5, 7), (5, 8)] {
        cache.assign(LeaderEpoch::new(epoch), Offset::new(offset));
    }
    assert_eq!(list(&cache), [(0, 0), (1, 3), (3, 5), (5, 7)]);
    let ends: Vec<_> = (0..6).map(|epoch| end(&cache, epoch, 9).unwrap()).collect();
    assert_eq!(ends, [(0, 3), (1, 5), (1, 5), (3, 7), (3, 7), (5, 9)]);
}

/// EPO-09, EPO-12.
#[test]
fn a_cut_of_the_end_drops_the_epochs_that_start_there_or_above() {
    let entries = [(2, 6), (3, 8), (4, 11)];
    for (cut, kept) in [(0, 0), (6, 0), (7, 1), (8, 1), (9, 2), (11, 2), (12, 3), (100, 3)] {
        let mut cache = cache(&entries);
        assert_eq!(cache.truncate_from_end(Offset::new(cut)), kept < 3, "{cut}");
        assert_eq!(list(&cache), &entries[..kept], "{cut}");
    }
}

/// EPO-09, EPO-12.
#[test]
fn a_new_log_start_keeps_the_epoch_that_covers_it() {
    let entries = [(2, 6), (3, 8), (4, 11)];
    for (start, expected) in [
        (0, &[(2, 6), (3, 8), (4, 11)][..]),
        (5, &[(2, 6), (3, 8), (4, 11)]),
        (6, &[(2, 6), (3, 8), (4, 11)]),
        (7, &[(2, 7), (3, 8), (4, 11)]),
        (8, &[(3, 8), (4, 11)]),
        (10, &[(3, 10), (4, 11)]),
        (11, &[(4, 11)]),
        (15, &[(4, 15)]),
    ] {
        let mut cache = cache(&entries);
        assert_eq!(cache.truncate_from_start(Offset::new(start)), expected != entries, "{start}");
        assert_eq!(list(&cache), expected, "{start}");
    }
}

/// EPO-10.
#[test]
fn an_empty_list_takes_every_question() {
    let mut cache = cache(&[(2, 6), (3, 8)]);
    cache.clear();
    assert_eq!((cache.earliest(), cache.latest()), (None, None));
    assert!(!cache.truncate_from_end(Offset::ZERO));
    assert!(!cache.truncate_from_start(Offset::new(7)));
    assert_eq!(cache.epoch_for_offset(Offset::new(7)), None);
    assert_eq!(cache.previous(LeaderEpoch::new(7)), None);
    assert_eq!(cache.next(LeaderEpoch::NONE), None);
    assert_eq!(cache.format(), "0\n0\n");
}

/// EPO-11.
#[test]
fn entries_are_found_by_epoch_and_by_offset() {
    let cache = cache(&[(2, 6), (4, 8), (7, 11)]);
    let epoch = |number| Some(LeaderEpoch::new(number));
    for (offset, expected) in [(0, None), (5, None), (6, epoch(2)), (7, epoch(2)), (8, epoch(4)), (999, epoch(7))] {
        assert_eq!(cache.epoch_for_offset(Offset::new(offset)), expected, "{offset}");
    }
    for (of, previous, next) in
        [(0, None, epoch(2)), (2, None, epoch(4)), (3, epoch(2), epoch(4)), (7, epoch(4), None), (9, epoch(7), None)]
    {
        assert_eq!((cache.previous(LeaderEpoch::new(of)), cache.next(LeaderEpoch::new(of))), (previous, next), "{of}");
    }
    assert_eq!(cache.entry(LeaderEpoch::new(4)).unwrap().start, Offset::new(8));
    assert_eq!(cache.entry(LeaderEpoch::new(5)), None);
    assert_eq!(cache.earliest().unwrap().epoch.get(), 2);
    assert_eq!(cache.latest().unwrap().epoch.get(), 7);
}

/// EPO-07.
#[test]
fn the_file_holds_the_list() {
    let cache = cache(&[(2, 6), (4, 8), (7, 11)]);
    assert_eq!(cache.format(), "0\n3\n2 6\n4 8\n7 11\n");
    assert_eq!(LeaderEpochCache::parse(cache.format().as_bytes()).unwrap(), cache);
    assert_eq!(LeaderEpochCache::parse(b"").unwrap(), LeaderEpochCache::new());
    assert_eq!(list(&LeaderEpochCache::parse(b"0\n3\n2 6\n2 7\n1 9\n").unwrap()), [(1, 9)]);
    for bad in ["0\n1\n2\n", "0\n1\n-1 5\n", "0\n1\n1 -5\n", "0\n1\n1 5 6\n", "0\n2\n1 5\n", "0\n1\n2147483648 5\n"] {
        assert!(LeaderEpochCache::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn kafkas_file_of_two_leaders_parses() {
    let path = "/tests/golden/kafka-4.3.1/log/epochs-0/leader-epoch-checkpoint";
    let bytes = std::fs::read(format!("{}{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let cache = LeaderEpochCache::parse(&bytes).unwrap();
    assert!(cache.entries().len() >= 2);
    assert_eq!(cache.format().as_bytes(), bytes);
}

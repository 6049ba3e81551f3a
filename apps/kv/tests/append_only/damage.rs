//! Damage is told from the torn end of a crash.

use std::fs;

use raddle_kv::config::Config;

use super::support::{Directory, Kv, contents, flip, refusal};

const HEADER: usize = 32;
/// What stands before a record's payload.
const HEAD: usize = 16;

/// Some keys, each in a record of its own, and what they have.
fn filled() -> (Directory, Vec<(String, String)>) {
    let directory = Directory::new();
    let kv = Kv::on(&directory);
    let _: redis::Value = kv.run("SET a warp; SET b weft; APPEND a _and; INCR n; INCR n");
    let contents = contents(&kv);
    kv.stop().unwrap();
    (directory, contents)
}

/// Where the records begin, and the end.
fn places(file: &[u8]) -> Vec<usize> {
    let mut places = vec![HEADER];
    while let Some(place) = places.last().copied().filter(|place| *place < file.len()) {
        let length = u32::from_le_bytes(file[place + 4..place + 8].try_into().unwrap());
        places.push(place + HEAD + length as usize);
    }
    assert_eq!(places.last(), Some(&file.len()));
    places
}

fn repair(directory: &Directory) -> Config {
    Config { appendonly_repair: true, ..directory.config() }
}

/// No bit of either file can change and a wrong value be served, or a value be missing in silence.
#[test]
fn a_flipped_bit_anywhere_serves_no_wrong_value() {
    let (directory, expected) = filled();
    let length = fs::read(directory.file()).unwrap().len();
    for at in 0..length {
        let damaged = directory.copy();
        flip(&damaged.file(), at, 1 << (at % 8));
        let message = refusal(&damaged);
        assert!(message.contains("appendonly.aof is damaged at offset "), "{at}: {message}");
        assert!(message.contains("--appendonly-repair"), "{at}: {message}");
        // Nothing was touched.
        assert_eq!(fs::read(damaged.file()).unwrap().len(), length);
    }
    let length = fs::read(directory.marks()).unwrap().len();
    for at in (0..length).filter(|at| *at < 100 || *at >= 4096) {
        let damaged = directory.copy();
        flip(&damaged.marks(), at, 1 << (at % 8));
        let kv = Kv::on(&damaged);
        assert_eq!(contents(&kv), expected, "{at}");
    }
}

#[test]
fn the_refusal_names_the_place_and_what_is_lost() {
    let (directory, _) = filled();
    let places = places(&fs::read(directory.file()).unwrap());
    assert_eq!(places.len(), 6, "five records");
    for (record, place) in places[..5].iter().enumerate() {
        let damaged = directory.copy();
        flip(&damaged.file(), place + HEAD + 3, 0x10);
        let message = refusal(&damaged);
        for part in [
            format!("damaged at offset {place} of {}", places[5]),
            "the checksum is wrong".to_owned(),
            format!("synced up to offset {}", places[5]),
            format!("{} records that clients may rely on are lost", 5 - record),
            format!("{record} before them are whole"),
            format!("appendonly.aof.damaged-{place}"),
        ] {
            assert!(message.contains(&part), "{part:?} is not in {message:?}");
        }
    }
}

/// The last record that was acknowledged is no torn end, however little of it is missing.
#[test]
fn a_file_that_is_shorter_than_what_was_synced_is_refused() {
    let (directory, _) = filled();
    let file = fs::read(directory.file()).unwrap();
    for length in 0..file.len() {
        let damaged = directory.copy();
        fs::write(damaged.file(), &file[..length]).unwrap();
        let message = refusal(&damaged);
        assert!(message.contains("damaged at offset "), "{length}: {message}");
    }
    let damaged = directory.copy();
    fs::remove_file(damaged.file()).unwrap();
    let message = refusal(&damaged);
    assert!(message.contains("the file is missing"), "{message}");
    assert!(message.contains("5 records that clients may rely on are lost"), "{message}");
}

/// What came after the mark was acknowledged to nobody: any of it may be there, whole, torn, or not.
#[test]
fn what_is_torn_beyond_the_mark_is_cut() {
    let (directory, before) = filled();
    let marks = fs::read(directory.marks()).unwrap();
    let marked = fs::read(directory.file()).unwrap().len();
    let kv = Kv::on(&directory);
    let _: redis::Value = kv.run("SET b later; SET c new");
    let after = contents(&kv);
    kv.stop().unwrap();
    let file = fs::read(directory.file()).unwrap();
    let places = places(&file);
    let [.., middle, end] = places[..] else { unreachable!() };
    assert_eq!(places[5], marked);
    for length in marked..=file.len() {
        for zeros in [0, 1, 100] {
            // As after a crash: the marks are those of before, and what was being written is cut,
            // or zero where it did not come to the disk.
            let torn = directory.copy();
            fs::write(torn.marks(), &marks).unwrap();
            fs::write(torn.file(), [&file[..length], &vec![0; zeros]].concat()).unwrap();
            let kv = Kv::on(&torn);
            let found = contents(&kv);
            let kept = if length == end { &after } else { &before };
            if length < middle {
                assert_eq!(found, before, "{length}");
            } else if length == end {
                assert_eq!(found, *kept);
            } else {
                assert!(found.contains(&("b".to_owned(), "later".to_owned())), "{length}");
                assert!(!found.iter().any(|(key, _)| key == "c"), "{length}");
            }
            let _: redis::Value = kv.run("SET d more");
            kv.stop().unwrap();
            let kv = Kv::on(&torn);
            assert_eq!(contents(&kv).len(), found.len() + 1);
        }
    }
    // The first of the two did not come to the disk and the second did: cut before both.
    let torn = directory.copy();
    fs::write(torn.marks(), &marks).unwrap();
    let hole = [&file[..marked], &vec![0; middle - marked], &file[middle..]].concat();
    fs::write(torn.file(), hole).unwrap();
    assert_eq!(contents(&Kv::on(&torn)), before);
}

#[test]
fn without_marks_a_whole_file_is_read_and_a_damaged_one_is_not() {
    let (directory, expected) = filled();
    fs::remove_file(directory.marks()).unwrap();
    let file = fs::read(directory.file()).unwrap();
    for length in [file.len() - 1, HEADER + 3] {
        let damaged = directory.copy();
        fs::write(damaged.file(), &file[..length]).unwrap();
        let message = refusal(&damaged);
        assert!(message.contains("is not known"), "{message}");
    }
    // The marks of another file are none.
    let (other, _) = filled();
    fs::copy(other.marks(), directory.marks()).unwrap();
    let damaged = directory.copy();
    flip(&damaged.file(), HEADER + HEAD, 1);
    assert!(refusal(&damaged).contains("is not known"));
    let kv = Kv::on(&directory);
    assert_eq!(contents(&kv), expected);
    kv.stop().unwrap();
    // They have been made anew.
    flip(&directory.file(), HEADER + HEAD, 1);
    assert!(refusal(&directory).contains("5 records that clients may rely on are lost"));
}

/// A record of another place, of an older file in the same blocks, or twice: all have good checksums.
#[test]
fn records_in_the_wrong_place_are_found() {
    let (directory, _) = filled();
    let file = fs::read(directory.file()).unwrap();
    let places = places(&file);
    let record = |n: usize| &file[places[n]..places[n + 1]];
    let (other, _) = filled();
    let foreign = fs::read(other.file()).unwrap();
    let cases: [(&str, Vec<u8>); 4] = [
        ("twice", [&file[..places[4]], record(3), record(4)].concat()),
        ("left out", [&file[..places[1]], &file[places[2]..]].concat()),
        ("exchanged", [&file[..places[3]], record(4), record(3)].concat()),
        ("foreign", [&file[..places[4]], &foreign[places[4]..]].concat()),
    ];
    for (what, bytes) in cases {
        let damaged = directory.copy();
        fs::write(damaged.file(), bytes).unwrap();
        let message = refusal(&damaged);
        let reason = if what == "foreign" { "checksum" } else { "in the place of record" };
        assert!(message.contains(reason), "{what}: {message}");
    }
}

#[test]
fn a_repair_keeps_what_is_before_the_damage_and_the_rest_aside() {
    let (directory, _) = filled();
    let file = fs::read(directory.file()).unwrap();
    let places = places(&file);
    for record in 0..5 {
        let damaged = directory.copy();
        flip(&damaged.file(), places[record] + 9, 0x40);
        let broken = fs::read(damaged.file()).unwrap();
        let kv = Kv::start(repair(&damaged)).unwrap();
        let names = damaged.names();
        let kept = contents(&kv);
        assert_eq!(kept.iter().any(|(key, _)| key == "a"), record > 0);
        assert_eq!(kept.iter().any(|(key, _)| key == "b"), record > 1);
        assert_eq!(kept.iter().any(|(key, _)| key == "n"), record > 3);
        let aside = format!("appendonly.aof.damaged-{}", places[record]);
        assert_eq!(names, ["appendonly.aof", &aside, "appendonly.aof.mark"]);
        assert_eq!(fs::read(damaged.0.join(aside)).unwrap(), broken[places[record]..]);
        let _: redis::Value = kv.run("SET z 1");
        kv.stop().unwrap();
        // It is whole now.
        assert_eq!(contents(&Kv::on(&damaged)).len(), kept.len() + 1);
    }
}

#[test]
fn a_repair_without_a_header_begins_anew() {
    let (directory, _) = filled();
    flip(&directory.file(), 3, 1);
    let broken = fs::read(directory.file()).unwrap();
    for round in 0..2 {
        let kv = Kv::start(repair(&directory)).unwrap();
        assert_eq!(kv.run::<usize>("DBSIZE"), round);
        assert_eq!(fs::read(directory.0.join("appendonly.aof.damaged-0")).unwrap(), broken);
        let _: redis::Value = kv.run("SET z 1");
        kv.stop().unwrap();
    }
    // The next damage at the same place takes another name.
    flip(&directory.file(), 3, 1);
    drop(Kv::start(repair(&directory)).unwrap());
    assert_eq!(fs::read(directory.0.join("appendonly.aof.damaged-0")).unwrap(), broken);
    assert!(directory.0.join("appendonly.aof.damaged-0-2").exists());
}

#[test]
fn a_repair_of_a_whole_file_does_nothing() {
    let (directory, expected) = filled();
    let kv = Kv::start(repair(&directory)).unwrap();
    assert_eq!(contents(&kv), expected);
    assert_eq!(directory.names(), ["appendonly.aof", "appendonly.aof.mark"]);
}

#[test]
fn what_a_rewrite_has_left_is_removed() {
    let (directory, expected) = filled();
    fs::write(directory.0.join("appendonly.aof.rewrite"), b"half of it").unwrap();
    let kv = Kv::on(&directory);
    assert_eq!(contents(&kv), expected);
    assert_eq!(directory.names(), ["appendonly.aof", "appendonly.aof.mark"]);
}

/// A start that ended between any two of its steps is begun again.
#[test]
fn a_beginning_that_was_interrupted_is_no_damage() {
    let (directory, _) = filled();
    let empty = Directory::new();
    Kv::on(&empty).stop().unwrap();
    // The marks were made and the file had no name yet.
    fs::remove_file(empty.file()).unwrap();
    let kv = Kv::on(&empty);
    assert_eq!(kv.run::<usize>("DBSIZE"), 0);
    drop(kv);
    // The marks were made and not written.
    fs::write(empty.marks(), b"").unwrap();
    drop(Kv::on(&empty));
    fs::write(directory.marks(), b"").unwrap();
    drop(Kv::on(&directory));
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let directory = Directory::new();
    let config = Config { dir: directory.0.join("none"), ..directory.config() };
    let error = Kv::start(config).err().expect("it cannot start");
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("none/appendonly.aof.mark"), "{error}");
}

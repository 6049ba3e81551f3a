//! Files: what each operation does, over each driver, and what becomes of it when it is cancelled
//! or the driver is dropped. The simulator's tests include this file.

use std::ffi::CString;

use crate::support::{Io, Rig, pair, send_all};
use crate::world::{self, Directory, LARGE, beside, over_all_drivers, without_a_driver, yield_now};
use raddle_platform::Driver;
use raddle_platform::driver::{Handle, Kind, Op, OpenOptions, Token};

over_all_drivers! {
    what_is_written_is_read,
    an_appending_file_grows_at_its_end,
    a_file_is_opened_as_it_is_asked_for,
    senseless_options_are_refused,
    an_error_number_is_kept,
    a_length_is_set,
    an_offset_beyond_all_files_is_refused,
    a_name_is_moved_and_removed,
    a_directory_can_be_synced,
    many_files_at_the_same_time,
    files_and_sockets_do_not_wait_for_one_another,
    a_file_that_completes_ends_the_wait,
    a_cancelled_operation_completes_once,
    a_dropped_driver_takes_no_byte,
    a_full_disk_is_told,
}

without_a_driver! {
    a_thread_without_a_driver_does_it_itself,
    a_thread_without_a_driver_waits_for_a_socket,
}

/// A file, closed at the end of its scope.
struct File(Handle);

impl Drop for File {
    fn drop(&mut self) {
        Io::close(self.0);
    }
}

const READ: OpenOptions = OpenOptions { read: true, ..OpenOptions::NONE };
const MAKE: OpenOptions =
    OpenOptions { read: true, write: true, create: true, ..OpenOptions::NONE };
const APPEND: OpenOptions = OpenOptions { append: true, create: true, ..OpenOptions::NONE };

fn run(rig: &mut Rig, op: Op) -> i32 {
    rig.submit(op, 1);
    rig.result()
}

fn open(rig: &mut Rig, path: &CString, options: OpenOptions) -> File {
    let result = run(rig, Op::Open { path: path.as_ptr(), options });
    assert!(result >= 0, "{path:?}: {}", std::io::Error::from_raw_os_error(-result));
    File(Handle(result))
}

fn write_at(file: &File, bytes: &[u8], offset: u64) -> Op {
    let length = bytes.len() as u32;
    Op::WriteAt { handle: file.0, buffer: bytes.as_ptr(), length, offset }
}

fn append(file: &File, bytes: &[u8]) -> Op {
    Op::Append { handle: file.0, buffer: bytes.as_ptr(), length: bytes.len() as u32 }
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> Op {
    let length = buffer.len() as u32;
    Op::ReadAt { handle: file.0, buffer: buffer.as_mut_ptr(), length, offset }
}

fn what_is_written_is_read(kind: Kind) {
    let (directory, mut rig) = (Directory::new(), Rig::new(kind));
    let file = open(&mut rig, &directory.path("f"), MAKE);
    assert_eq!(run(&mut rig, write_at(&file, b"warp and weft", 0)), 13);
    assert_eq!(run(&mut rig, write_at(&file, b"AND", 5)), 3);
    for data_only in [true, false] {
        assert_eq!(run(&mut rig, Op::Sync { handle: file.0, data_only }), 0);
    }
    let mut buffer = [0; 8];
    assert_eq!(run(&mut rig, read_at(&file, &mut buffer, 5)), 8);
    assert_eq!(&buffer, b"AND weft");
    assert_eq!(run(&mut rig, read_at(&file, &mut buffer, 9)), 4, "what is there");
    assert_eq!(run(&mut rig, read_at(&file, &mut buffer, 13)), 0, "the end");
    assert_eq!(Io::file_length(file.0).expect("a file"), 13);
    assert_eq!(directory.read("f"), b"warp AND weft");
}

fn an_appending_file_grows_at_its_end(kind: Kind) {
    let (directory, mut rig) = (Directory::new(), Rig::new(kind));
    directory.write("f", b"a");
    let file = open(&mut rig, &directory.path("f"), APPEND);
    assert_eq!(run(&mut rig, append(&file, b"bc")), 2);
    // Somebody else makes it longer: the end is where it is then.
    directory.write("f", b"0123456789");
    assert_eq!(run(&mut rig, append(&file, b"d")), 1);
    assert_eq!(run(&mut rig, write_at(&file, b"e", 0)), 1);
    assert_eq!(directory.read("f"), b"0123456789de");
}

fn a_file_is_opened_as_it_is_asked_for(kind: Kind) {
    let (directory, mut rig) = (Directory::new(), Rig::new(kind));
    let path = directory.path("f");
    let new = OpenOptions { create_new: true, ..MAKE };
    drop(open(&mut rig, &path, OpenOptions { mode: 0o600, ..new }));
    directory.check_mode("f", 0o600);
    assert_eq!(run(&mut rig, Op::Open { path: path.as_ptr(), options: new }), -libc::EEXIST);
    directory.write("f", b"full");
    drop(open(&mut rig, &path, MAKE));
    assert_eq!(directory.read("f"), b"full");
    drop(open(&mut rig, &path, OpenOptions { write: true, truncate: true, ..OpenOptions::NONE }));
    assert_eq!(directory.read("f"), b"");
    let file = open(&mut rig, &path, READ);
    assert_eq!(run(&mut rig, write_at(&file, b"x", 0)), -libc::EBADF);
    world::check_closed_on_exec(file.0);
}

fn senseless_options_are_refused(kind: Kind) {
    let (directory, mut rig) = (Directory::new(), Rig::new(kind));
    let path = directory.path("f");
    for options in [
        OpenOptions::NONE,
        OpenOptions { create: true, ..READ },
        OpenOptions { truncate: true, ..READ },
        OpenOptions { truncate: true, ..APPEND },
        OpenOptions { directory: true, ..MAKE },
    ] {
        let result = run(&mut rig, Op::Open { path: path.as_ptr(), options });
        assert_eq!(result, -libc::EINVAL, "{options:?}");
    }
    assert_eq!(directory.names(), [""; 0]);
}

fn an_error_number_is_kept(kind: Kind) {
    let (directory, mut rig) = (Directory::new(), Rig::new(kind));
    let (missing, itself) = (directory.path("missing"), directory.itself());
    let open = |path: &CString, options| Op::Open { path: path.as_ptr(), options };
    assert_eq!(run(&mut rig, open(&missing, READ)), -libc::ENOENT);
    assert_eq!(run(&mut rig, open(&itself, MAKE)), -libc::EISDIR);
    directory.write("f", b"");
    let file = directory.path("f");
    let folder = OpenOptions { directory: true, ..READ };
    assert_eq!(run(&mut rig, open(&file, folder)), -libc::ENOTDIR);
    assert_eq!(run(&mut rig, Op::Remove { path: missing.as_ptr() }), -libc::ENOENT);
    let rename = Op::Rename { from: missing.as_ptr(), to: file.as_ptr() };
    assert_eq!(run(&mut rig, rename), -libc::ENOENT);
    let nothing = Handle(-1);
    assert_eq!(run(&mut rig, Op::Sync { handle: nothing, data_only: false }), -libc::EBADF);
    assert_eq!(run(&mut rig, Op::SetLength { handle: nothing, length: 0 }), -libc::EBADF);
    let error = Io::file_length(nothing).expect_err("no file");
    assert_eq!(error.raw_os_error(), Some(libc::EBADF));
}

fn a_length_is_set(kind: Kind) {
    let (directory, mut rig) = (Directory::new(), Rig::new(kind));
    directory.write("f", b"0123456789");
    let file = open(&mut rig, &directory.path("f"), MAKE);
    assert_eq!(run(&mut rig, Op::SetLength { handle: file.0, length: 4 }), 0);
    assert_eq!(directory.read("f"), b"0123");
    assert_eq!(run(&mut rig, Op::SetLength { handle: file.0, length: 6 }), 0);
    assert_eq!(directory.read("f"), b"0123\0\0");
}

fn an_offset_beyond_all_files_is_refused(kind: Kind) {
    let (directory, mut rig) = (Directory::new(), Rig::new(kind));
    let file = open(&mut rig, &directory.path("f"), MAKE);
    for offset in [1 << 63, u64::MAX] {
        assert_eq!(run(&mut rig, write_at(&file, b"x", offset)), -libc::EINVAL);
        assert_eq!(run(&mut rig, read_at(&file, &mut [0], offset)), -libc::EINVAL);
        let set = Op::SetLength { handle: file.0, length: offset };
        assert_eq!(run(&mut rig, set), -libc::EINVAL);
    }
    assert_eq!(directory.read("f"), b"");
}

fn a_name_is_moved_and_removed(kind: Kind) {
    let (directory, mut rig) = (Directory::new(), Rig::new(kind));
    directory.write("old", b"old");
    directory.write("new", b"new");
    let (old, new) = (directory.path("old"), directory.path("new"));
    assert_eq!(run(&mut rig, Op::Rename { from: new.as_ptr(), to: old.as_ptr() }), 0);
    assert_eq!(directory.read("old"), b"new");
    assert_eq!(run(&mut rig, Op::Remove { path: old.as_ptr() }), 0);
    assert_eq!(directory.names(), [""; 0]);
}

fn a_directory_can_be_synced(kind: Kind) {
    let (directory, mut rig) = (Directory::new(), Rig::new(kind));
    let options = OpenOptions { directory: true, ..READ };
    let folder = open(&mut rig, &directory.itself(), options);
    assert_eq!(run(&mut rig, Op::Sync { handle: folder.0, data_only: false }), 0);
}

/// More than there are threads in the pool, and entries in the ring.
fn many_files_at_the_same_time(kind: Kind) {
    const BLOCKS: usize = 100;
    let (directory, mut rig) = (Directory::new(), Rig::with_entries(kind, 4));
    let file = open(&mut rig, &directory.path("f"), MAKE);
    let blocks: Vec<_> = (0..BLOCKS).map(|block| [block as u8; 50]).collect();
    for (number, block) in blocks.iter().enumerate() {
        rig.submit(write_at(&file, block, number as u64 * 50), number as u64);
    }
    let expected: Vec<_> = (0..BLOCKS as u64).map(|number| (number, 50)).collect();
    assert_eq!(rig.finish(), expected);
    assert_eq!(directory.read("f"), blocks.concat());
    let mut read = vec![[0; 50]; BLOCKS];
    for (number, block) in read.iter_mut().enumerate() {
        rig.submit(read_at(&file, block, number as u64 * 50), number as u64);
    }
    assert_eq!(rig.finish(), expected);
    assert_eq!(read, blocks);
}

fn files_and_sockets_do_not_wait_for_one_another(kind: Kind) {
    let (directory, mut rig) = (Directory::new(), Rig::new(kind));
    let file = open(&mut rig, &directory.path("f"), MAKE);
    let (near, far) = pair();
    let mut received = [0; 4];
    rig.recv(&near, &mut received, 7);
    rig.submit(write_at(&file, b"disk", 0), 8);
    let mut done = Vec::new();
    while done.is_empty() {
        done = rig.wait(None);
    }
    assert_eq!(done, [(8, 4)]);
    send_all(far.0, b"wire");
    assert_eq!(rig.result(), 4);
    assert_eq!((&received, directory.read("f").as_slice()), (b"wire", b"disk".as_slice()));
}

fn a_file_that_completes_ends_the_wait(kind: Kind) {
    let (directory, mut rig) = (Directory::new(), Rig::new(kind));
    let path = directory.path("f");
    for round in 0..200 {
        // Each wait is without a deadline: a wake that is lost hangs.
        let file = open(&mut rig, &path, APPEND);
        assert_eq!(run(&mut rig, append(&file, &[round])), 1);
    }
    assert_eq!(directory.read("f").len(), 200);
}

fn a_cancelled_operation_completes_once(kind: Kind) {
    let (directory, mut rig) = (Directory::new(), Rig::new(kind));
    let file = open(&mut rig, &directory.path("f"), MAKE);
    let (mut written, mut called_back) = (0, 0);
    for round in 0..50 {
        let block = [round; 1000];
        for token in 0..20 {
            rig.submit(write_at(&file, &block, u64::from(round) * 20_000 + token * 1000), token);
        }
        for token in (0..20).rev() {
            rig.cancel(token);
        }
        for (token, result) in rig.finish() {
            // All or nothing: this disk is not full.
            let offset = usize::from(round) * 20_000 + token as usize * 1000;
            match result {
                1000 => {
                    written += 1;
                    assert_eq!(directory.read("f")[offset..offset + 1000], block);
                }
                result => {
                    called_back += 1;
                    assert_eq!(result, -libc::ECANCELED);
                    let contents = directory.read("f");
                    let there = contents.get(offset..offset + 1000);
                    assert!(there.is_none_or(|there| there == [0; 1000]), "written after all");
                }
            }
        }
    }
    assert_eq!(written + called_back, 1000);
}

fn a_dropped_driver_takes_no_byte(kind: Kind) {
    let directory = Directory::new();
    let contents: Vec<u8> = (0..LARGE).map(|n| (n % 251) as u8).collect();
    directory.write("f", &contents);
    for _ in 0..20 {
        let mut rig = Rig::new(kind);
        let file = open(&mut rig, &directory.path("f"), READ);
        let mut buffers = vec![vec![0; LARGE]; 10];
        for (token, buffer) in buffers.iter_mut().enumerate() {
            let op = read_at(&file, buffer, 0);
            // SAFETY: the buffers outlive the driver.
            unsafe { rig.driver.submit(op, Token(100 + token as u64)) };
        }
        drop(rig);
        // What comes after the drop must not reach the buffers.
        let before = buffers.clone();
        yield_now();
        assert!(buffers == before);
    }
}

fn a_full_disk_is_told(kind: Kind) {
    let (directory, mut rig) = (Directory::new(), Rig::new(kind));
    let full = directory.full();
    let file = open(&mut rig, &full, OpenOptions { write: true, ..OpenOptions::NONE });
    assert_eq!(run(&mut rig, write_at(&file, b"x", 0)), -libc::ENOSPC);
}

fn a_thread_without_a_driver_does_it_itself() {
    let directory = Directory::new();
    let path = directory.path("f");
    // SAFETY: the memory is valid for the length of the calls.
    let perform = |op| unsafe { Io::block_on(op) };
    let opened = perform(Op::Open { path: path.as_ptr(), options: MAKE });
    let file = File(Handle(opened));
    assert_eq!(perform(write_at(&file, b"thread", 0)), 6);
    assert_eq!(perform(Op::Sync { handle: file.0, data_only: false }), 0);
    let mut buffer = [0; 9];
    assert_eq!(perform(read_at(&file, &mut buffer, 0)), 6);
    assert_eq!(&buffer[..6], b"thread");
    assert_eq!(perform(Op::Remove { path: path.as_ptr() }), 0);
    assert_eq!(perform(Op::Open { path: path.as_ptr(), options: READ }), -libc::ENOENT);
}

fn a_thread_without_a_driver_waits_for_a_socket() {
    let (near, far) = pair();
    let mut buffer = [0; 3];
    let op = Op::Recv { handle: near.0, buffer: buffer.as_mut_ptr(), length: 3 };
    let mut received = 0;
    // SAFETY: the buffer is valid for the length of the call.
    beside(|| send_all(far.0, b"xyz"), || received = unsafe { Io::block_on(op) });
    assert_eq!(&buffer[..received as usize], &b"xyz"[..received as usize]);
    assert!(received > 0);
}

//! Files, from fibers, futures and threads, over each driver.

use std::future::Future;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};

use raddle_platform::driver::Kind;
use raddle_runtime::fs::{self, File, OpenOptions};
use raddle_runtime::{Native, Runtime, runtime};

/// A directory of the test's own, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("raddle-fs-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a directory");
        Self(path)
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs `test` in a fiber, over each driver that this machine has, and on a plain thread.
fn everywhere(test: fn(&Directory)) {
    on_runtimes(|runtime| {
        runtime.run(move || test(&Directory::new())).expect("no panic");
    });
    test(&Directory::new());
}

fn on_runtimes(test: impl Fn(&Runtime)) {
    for kind in [Kind::Uring, Kind::Epoll] {
        match runtime::Builder::new().workers(2).driver(kind).build() {
            Ok(runtime) => test(&runtime),
            Err(error) => {
                assert_eq!(kind, Kind::Uring, "every Linux has epoll: {error}");
                eprintln!("left out: {error}");
            }
        }
    }
}

fn append_to(path: &PathBuf) -> File {
    OpenOptions::new().append(true).create(true).open(path).expect("it can be made")
}

#[test]
fn what_is_written_is_read() {
    everywhere(|directory| {
        let path = directory.path("f");
        let file = OpenOptions::new().read(true).write(true).create_new(true);
        let file: File = file.open(&path).expect("it is new");
        assert!(file.is_empty().expect("a file"));
        file.write_all_at(b"warp and weft", 0).expect("room");
        assert_eq!(file.write_at(b"AND", 5).expect("room"), 3);
        file.sync_data().expect("a disk");
        file.sync_all().expect("a disk");
        let mut four = [0; 4];
        file.read_exact_at(&mut four, 9).expect("they are there");
        assert_eq!(&four, b"weft");
        let error = file.read_exact_at(&mut four, 10).expect_err("it ends");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(file.len().expect("a file"), 13);
        file.set_len(4).expect("it can be cut");
        assert_eq!(file.read_to_end().expect("a file"), b"warp");
    });
}

#[test]
fn a_large_file_is_read_to_its_end() {
    everywhere(|directory| {
        let contents: Vec<u8> = (0..3_000_001_u32).map(|n| (n * 7 / 8) as u8).collect();
        std::fs::write(directory.path("f"), &contents).expect("room");
        assert!(fs::read::<Native>(directory.path("f")).expect("it is there") == contents);
        // Files of the system's claim to be empty.
        let status = fs::read::<Native>("/proc/self/status").expect("every Linux has it");
        assert!(status.starts_with(b"Name:"));
    });
}

#[test]
fn an_appending_file_grows_at_its_end() {
    everywhere(|directory| {
        let path = directory.path("f");
        let (one, other) = (append_to(&path), append_to(&path));
        one.append_all(b"a").expect("room");
        assert_eq!(other.append(b"bc").expect("room"), 2);
        one.append_all(b"d").expect("room");
        assert_eq!(fs::read::<Native>(&path).expect("it is there"), b"abcd");
        drop(File::<Native>::create(&path).expect("it is emptied"));
        assert_eq!(fs::read::<Native>(&path).expect("it is there"), b"");
    });
}

#[test]
fn names_are_moved_and_removed() {
    everywhere(|directory| {
        let (old, new) = (directory.path("old"), directory.path("new"));
        append_to(&old).append_all(b"x").expect("room");
        drop(append_to(&new));
        fs::rename::<Native>(&old, &new).expect("it is there");
        fs::sync_dir::<Native>(&directory.0).expect("a directory");
        assert_eq!(fs::read::<Native>(&new).expect("it has moved"), b"x");
        fs::remove_file::<Native>(&new).expect("it is there");
        for path in [old, new] {
            let error = File::<Native>::open(path).expect_err("it is gone");
            assert_eq!(error.raw_os_error(), Some(2));
        }
    });
}

#[test]
fn errors_say_what_the_system_says() {
    everywhere(|directory| {
        let error = OpenOptions::new().open::<Native>(directory.path("f")).expect_err("nothing");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = File::<Native>::open("a\0b").expect_err("a zero byte");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let file = append_to(&directory.path("f"));
        let error = file.read_at(&mut [0], 0).expect_err("it is for writing");
        assert_eq!(error.raw_os_error(), Some(9));
        let full: File = OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let error = full.write_all_at(b"x", 0).expect_err("it is full");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        let error = fs::sync_dir::<Native>(directory.path("f")).expect_err("no directory");
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
    });
}

/// Whoever was cancelled can still write down what he has to.
#[test]
fn a_cancelled_fiber_still_writes() {
    on_runtimes(|runtime| {
        let directory = Directory::new();
        let path = directory.path("f");
        let written = runtime.run(move || {
            let fiber = raddle_runtime::spawn::<Native, _, _>(move || {
                while !raddle_runtime::is_cancelled::<Native>() {
                    raddle_runtime::yield_now::<Native>();
                }
                append_to(&path).append_all(b"last words").expect("room");
            });
            raddle_runtime::yield_now::<Native>();
            fiber.cancel();
            fiber.join().is_ok()
        });
        if written.expect("no panic") {
            assert_eq!(std::fs::read(directory.path("f")).expect("it is there"), b"last words");
        }
    });
}

#[test]
fn a_future_does_all_of_it() {
    on_runtimes(|runtime| {
        let directory = Directory::new();
        let future = async {
            let (path, moved) = (directory.path("f"), directory.path("g"));
            let file = OpenOptions::new().read(true).write(true).create(true);
            let file: File = file.open_async(&path).await?;
            let (count, buffer) = file.write_at_async(b"warp and weft".to_vec(), 0).await;
            assert_eq!((count?, buffer), (13, b"warp and weft".to_vec()));
            file.sync_data_async().await?;
            file.set_len_async(8).await?;
            file.sync_all_async().await?;
            let (count, buffer) = file.read_at_async(vec![0; 10], 5).await;
            assert_eq!((count?, buffer), (3, b"and\0\0\0\0\0\0\0".to_vec()));
            fs::rename_async::<Native>(&path, &moved).await?;
            fs::sync_dir_async::<Native>(&directory.0).await?;
            let log: File = OpenOptions::new().append(true).open_async(&moved).await?;
            assert_eq!(log.append_async(b"!".to_vec()).await.0?, 1);
            assert_eq!(std::fs::read(&moved)?, b"warp and!");
            fs::remove_file_async::<Native>(&moved).await?;
            let (result, buffer) = log.read_at_async(vec![7], 0).await;
            assert_eq!(
                (result.expect_err("for writing").raw_os_error(), buffer),
                (Some(9), vec![7])
            );
            Ok::<_, std::io::Error>(())
        };
        runtime.block_on(future).expect("a disk");
    });
}

/// Polls a future once, which lets it begin.
fn begin<T>(future: Pin<&mut dyn Future<Output = T>>) {
    assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// Operations of futures that are dropped, early or late, leave nothing open and write to nothing.
#[test]
fn a_dropped_future_leaves_nothing_behind() {
    let open_files = || std::fs::read_dir("/proc/self/fd").expect("Linux").count();
    on_runtimes(|runtime| {
        let directory = Directory::new();
        let path = directory.path("f");
        std::fs::write(&path, vec![1; 1 << 20]).expect("room");
        let before = open_files();
        for round in 0..100 {
            let path = path.clone();
            let task = runtime.handle().spawn_async(async move {
                {
                    let options = OpenOptions::new().read(true);
                    let mut opened = pin!(options.open_async::<Native>(&path));
                    begin(opened.as_mut());
                    if round % 2 == 0 {
                        raddle_runtime::yield_async().await;
                    }
                }
                let file: File = File::open(&path).expect("it is there");
                let mut read = Box::pin(file.read_at_async(vec![0; 1 << 20], 0));
                begin(read.as_mut());
                if round % 3 == 0 {
                    raddle_runtime::yield_async().await;
                }
            });
            task.join().expect("no panic");
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while open_files() > before {
            assert!(std::time::Instant::now() < deadline, "a file stays open");
            std::thread::yield_now();
        }
    });
}

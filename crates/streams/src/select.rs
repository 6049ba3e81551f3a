//! Waiting for whichever comes first.
//!
//! [`select!`](crate::select!) polls several futures until one of them is ready, runs that one's branch
//! and drops the others. All futures of this crate bear to be dropped at any time: a receiver that loses
//! has taken nothing. So a loop around a `select!` misses no message.
//!
//! ```
//! use raddle_platform::{Native, suspend};
//! use raddle_streams::{channel, oneshot, select};
//!
//! let (numbers, receiver) = channel::bounded(8);
//! let (stop, mut stopped) = oneshot::channel();
//! std::thread::spawn(move || {
//!     (1..=3).for_each(|number| numbers.send(number).unwrap());
//!     stop.send("enough").unwrap();
//!     numbers // stays open: what ends the loop is the other branch
//! });
//! let sum = suspend::block_on::<Native, _>(async {
//!     let mut sum = 0;
//!     loop {
//!         select! {
//!             biased;
//!             number = receiver.recv_async() => sum += number.unwrap_or(0),
//!             reason = stopped.recv_async() => break (sum, reason),
//!         }
//!         if sum == 6 {
//!             break (sum, Ok("enough"));
//!         }
//!     }
//! });
//! assert_eq!(sum, (6, Ok("enough")));
//! ```
//!
//! A timer is a future as well (`raddle::time::sleep_async`), and so is the end of a cancellation token.
//! On a thread or in a fiber, [`suspend::block_on`](raddle_platform::suspend::block_on) around it makes
//! it a blocking call.
//!
//! # Fairness
//!
//! Each poll begins at a branch drawn from the platform's randomness, so that a branch that is always
//! ready starves no other. With `biased;` it begins at the first: for a stop signal that shall come
//! first, or where the last bit of speed counts. Then those further down may starve.

use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};

use raddle_platform::{Platform, Rng};

/// At which of `count` branches a poll begins.
fn first<P: Platform>(biased: bool, count: usize) -> usize {
    if biased { 0 } else { (P::Rng::u64() % count as u64) as usize }
}

macro_rules! races {
    ($($Race:ident $Selected:ident $count:literal [$($index:literal $Future:ident $field:ident),+];)+) => {$(
        #[doc = concat!("Which of ", stringify!($count), " futures was ready first.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Selected<$($Future),+> {
            $(#[doc = "This one, with its output."] $Future($Future)),+
        }

        #[doc = concat!("Polls ", stringify!($count), " futures until one is ready; see [`select!`](crate::select!).")]
        #[derive(Debug)]
        #[must_use = "futures do nothing unless polled"]
        pub struct $Race<P, $($Future),+> {
            $($field: $Future,)+
            biased: bool,
            platform: PhantomData<fn(P)>,
        }

        impl<P: Platform, $($Future: Future),+> $Race<P, $($Future),+> {
            /// A race between these.
            #[allow(clippy::too_many_arguments)]
            pub fn new(biased: bool, $($field: $Future),+) -> Self {
                Self { $($field,)+ biased, platform: PhantomData }
            }
        }

        impl<P: Platform, $($Future: Future),+> Future for $Race<P, $($Future),+> {
            type Output = $Selected<$($Future::Output),+>;

            fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
                // SAFETY: the futures are not moved.
                let this = unsafe { self.get_unchecked_mut() };
                let first = first::<P>(this.biased, $count);
                for turn in 0..$count {
                    match (first + turn) % $count {
                        $($index => {
                            // SAFETY: pinned as `self` is.
                            let future = unsafe { Pin::new_unchecked(&mut this.$field) };
                            if let Poll::Ready(output) = future.poll(context) {
                                return Poll::Ready($Selected::$Future(output));
                            }
                        })+
                        _ => unreachable!("a remainder is smaller"),
                    }
                }
                Poll::Pending
            }
        }
    )+};
}

races! {
    Race2 Selected2 2 [0 A a, 1 B b];
    Race3 Selected3 3 [0 A a, 1 B b, 2 C c];
    Race4 Selected4 4 [0 A a, 1 B b, 2 C c, 3 D d];
    Race5 Selected5 5 [0 A a, 1 B b, 2 C c, 3 D d, 4 E e];
    Race6 Selected6 6 [0 A a, 1 B b, 2 C c, 3 D d, 4 E e, 5 F f];
}

/// Waits for the first of two to six futures, and runs its branch: see [`select`](mod@crate::select).
///
/// It stands where `.await` may. `biased;` as the first line makes it poll from top to bottom; before
/// that, `in P;` names the platform for code that is also to be tested.
#[macro_export]
macro_rules! select {
    (in $p:ty; biased; $($branches:tt)+) => { $crate::__select!($p, true; $($branches)+) };
    (in $p:ty; $($branches:tt)+) => { $crate::__select!($p, false; $($branches)+) };
    (biased; $($branches:tt)+) => {
        $crate::__select!($crate::select::Production, true; $($branches)+)
    };
    ($($branches:tt)+) => { $crate::__select!($crate::select::Production, false; $($branches)+) };
}

/// The platform of a `select!` that names none.
pub type Production = raddle_platform::Native;

#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    ($p:ty, $biased:literal; $a:pat = $fa:expr => $ba:expr, $b:pat = $fb:expr => $bb:expr $(,)?) => {
        match $crate::select::Race2::<$p, _, _>::new($biased, $fa, $fb).await {
            $crate::select::Selected2::A($a) => $ba,
            $crate::select::Selected2::B($b) => $bb,
        }
    };
    ($p:ty, $biased:literal; $a:pat = $fa:expr => $ba:expr, $b:pat = $fb:expr => $bb:expr,
     $c:pat = $fc:expr => $bc:expr $(,)?) => {
        match $crate::select::Race3::<$p, _, _, _>::new($biased, $fa, $fb, $fc).await {
            $crate::select::Selected3::A($a) => $ba,
            $crate::select::Selected3::B($b) => $bb,
            $crate::select::Selected3::C($c) => $bc,
        }
    };
    ($p:ty, $biased:literal; $a:pat = $fa:expr => $ba:expr, $b:pat = $fb:expr => $bb:expr,
     $c:pat = $fc:expr => $bc:expr, $d:pat = $fd:expr => $bd:expr $(,)?) => {
        match $crate::select::Race4::<$p, _, _, _, _>::new($biased, $fa, $fb, $fc, $fd).await {
            $crate::select::Selected4::A($a) => $ba,
            $crate::select::Selected4::B($b) => $bb,
            $crate::select::Selected4::C($c) => $bc,
            $crate::select::Selected4::D($d) => $bd,
        }
    };
    ($p:ty, $biased:literal; $a:pat = $fa:expr => $ba:expr, $b:pat = $fb:expr => $bb:expr,
     $c:pat = $fc:expr => $bc:expr, $d:pat = $fd:expr => $bd:expr,
     $e:pat = $fe:expr => $be:expr $(,)?) => {
        match $crate::select::Race5::<$p, _, _, _, _, _>::new($biased, $fa, $fb, $fc, $fd, $fe)
            .await
        {
            $crate::select::Selected5::A($a) => $ba,
            $crate::select::Selected5::B($b) => $bb,
            $crate::select::Selected5::C($c) => $bc,
            $crate::select::Selected5::D($d) => $bd,
            $crate::select::Selected5::E($e) => $be,
        }
    };
    ($p:ty, $biased:literal; $a:pat = $fa:expr => $ba:expr, $b:pat = $fb:expr => $bb:expr,
     $c:pat = $fc:expr => $bc:expr, $d:pat = $fd:expr => $bd:expr,
     $e:pat = $fe:expr => $be:expr, $f:pat = $ff:expr => $bf:expr $(,)?) => {
        match $crate::select::Race6::<$p, _, _, _, _, _, _>::new(
            $biased, $fa, $fb, $fc, $fd, $fe, $ff,
        )
        .await
        {
            $crate::select::Selected6::A($a) => $ba,
            $crate::select::Selected6::B($b) => $bb,
            $crate::select::Selected6::C($c) => $bc,
            $crate::select::Selected6::D($d) => $bd,
            $crate::select::Selected6::E($e) => $be,
            $crate::select::Selected6::F($f) => $bf,
        }
    };
}

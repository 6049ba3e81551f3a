//! Parks model threads.

use std::sync::Arc;
use std::task::{Wake, Waker};

use raddle_platform::{Instant, Parker};

use crate::history::Effect;
use crate::token::Token;
use crate::world::{Kind, Step, with};

/// One [token](crate::token) per thread.
#[derive(Debug)]
pub struct LoomParker;

impl Wake for Token {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        let step = Step::wake();
        if !step.is_dropped() {
            Token::wake(self);
        }
        step.end(Effect::Done);
    }
}

fn token() -> Arc<Token> {
    with(|world| Arc::clone(&world.thread().token))
}

impl Parker for LoomParker {
    fn waker() -> Waker {
        let step = Step::plain(Kind::Parker, "waker", None);
        step.end(Effect::Done);
        Waker::from(token())
    }

    fn park() {
        let step = Step::plain(Kind::Parker, "park", None);
        token().park();
        step.end(Effect::Done);
    }

    fn park_until(deadline: Instant) {
        // Counted twice: it is a use of the parker and of the clock.
        Step::plain(Kind::Clock, "wait until", None).end(Effect::Value(deadline.as_nanos()));
        let step = Step::plain(Kind::Parker, "park_until", None);
        let woken = token().park_until(deadline);
        step.end(Effect::Value(u64::from(woken)));
    }
}

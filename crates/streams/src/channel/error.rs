//! Why a message was not sent or received. What was not sent is given back.

use core::fmt;

macro_rules! errors_with_value {
    ($(
        $(#[$meta:meta])*
        $name:ident { $($(#[$variant_meta:meta])* $variant:ident: $message:literal),+ $(,)? }
    )+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub enum $name<T> {
            $($(#[$variant_meta])* $variant(T)),+
        }

        impl<T> $name<T> {
            /// The message that was not sent.
            pub fn into_inner(self) -> T {
                match self { $(Self::$variant(value) => value),+ }
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant(_) => concat!(stringify!($variant), "(..)")),+ })
            }
        }

        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant(_) => $message),+ })
            }
        }

        impl<T> core::error::Error for $name<T> {}
    )+};
}

macro_rules! errors {
    ($(
        $(#[$meta:meta])*
        $name:ident { $($(#[$variant_meta:meta])* $variant:ident: $message:literal),+ $(,)? }
    )+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_meta])* $variant),+
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $message),+ })
            }
        }

        impl core::error::Error for $name {}
    )+};
}

errors_with_value! {
    /// Why [`send`](super::Sender::send) failed.
    SendError {
        /// The channel is closed, or all receivers are gone.
        Disconnected: "sending on a closed channel",
        /// The sending fiber was cancelled.
        Cancelled: "the sending fiber was cancelled",
    }
    /// Why [`try_send`](super::Sender::try_send) failed.
    TrySendError {
        /// There is no room; at capacity 0, nobody who would take it.
        Full: "sending on a full channel",
        /// The channel is closed, or all receivers are gone.
        Disconnected: "sending on a closed channel",
    }
    /// Why [`send_timeout`](super::Sender::send_timeout) failed.
    SendTimeoutError {
        /// The time was over before there was room.
        Timeout: "timed out waiting for room in the channel",
        /// The channel is closed, or all receivers are gone.
        Disconnected: "sending on a closed channel",
        /// The sending fiber was cancelled.
        Cancelled: "the sending fiber was cancelled",
    }
}

errors! {
    /// Why [`recv`](super::Receiver::recv) failed.
    RecvError {
        /// The channel is empty, and closed or without a sender.
        Disconnected: "receiving on an empty and closed channel",
        /// The receiving fiber was cancelled.
        Cancelled: "the receiving fiber was cancelled",
    }
    /// Why [`try_recv`](super::Receiver::try_recv) failed.
    TryRecvError {
        /// There is nothing yet.
        Empty: "receiving on an empty channel",
        /// The channel is empty, and closed or without a sender.
        Disconnected: "receiving on an empty and closed channel",
    }
    /// Why [`recv_timeout`](super::Receiver::recv_timeout) failed.
    RecvTimeoutError {
        /// The time was over before anything came.
        Timeout: "timed out waiting on an empty channel",
        /// The channel is empty, and closed or without a sender.
        Disconnected: "receiving on an empty and closed channel",
        /// The receiving fiber was cancelled.
        Cancelled: "the receiving fiber was cancelled",
    }
}

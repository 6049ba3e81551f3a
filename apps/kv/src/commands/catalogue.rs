//! All commands: their names, how many arguments they take, and what `COMMAND` tells of them.

/// What a command belongs to, in the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The connection itself.
    Connection,
    /// Keys, whatever their values.
    Generic,
    /// Publish and subscribe.
    Pubsub,
    /// The server.
    Server,
    /// Values.
    String,
}

/// Properties of commands, as Redis names them.
pub mod flag {
    /// Changes keys.
    pub const WRITE: u16 = 1 << 0;
    /// Reads keys.
    pub const READONLY: u16 = 1 << 1;
    /// Refused when there is no memory.
    pub const DENYOOM: u16 = 1 << 2;
    /// For administrators.
    pub const ADMIN: u16 = 1 << 3;
    /// Publishes or subscribes.
    pub const PUBSUB: u16 = 1 << 4;
    /// Not for scripts.
    pub const NOSCRIPT: u16 = 1 << 5;
    /// Allowed while the server loads its data.
    pub const LOADING: u16 = 1 << 6;
    /// Allowed while the data are out of date.
    pub const STALE: u16 = 1 << 7;
    /// Takes constant or logarithmic time.
    pub const FAST: u16 = 1 << 8;
    /// Allowed before authentication.
    pub const NO_AUTH: u16 = 1 << 9;
    /// Allowed while the server is busy.
    pub const ALLOW_BUSY: u16 = 1 << 10;
    /// Not a flag of Redis's, but one of its categories.
    pub const DANGEROUS: u16 = 1 << 11;

    /// The names of the flags, lowest bit first.
    pub const NAMES: [&str; 11] = [
        "write",
        "readonly",
        "denyoom",
        "admin",
        "pubsub",
        "noscript",
        "loading",
        "stale",
        "fast",
        "no_auth",
        "allow_busy",
    ];
}

/// What is known of a command.
#[derive(Debug)]
pub struct Spec {
    /// The name in lower case; that of a subcommand has its parent's and a bar in front.
    pub name: &'static str,
    /// How many arguments it takes, its name included; if negative, at least so many.
    pub arity: i8,
    /// See [`flag`].
    pub flags: u16,
    /// First key, last key (negative counts from the end), and step; 0 if there are none.
    pub keys: (i8, i8, i8),
    /// What it belongs to.
    pub group: Group,
    /// The version of Redis that introduced it.
    pub since: &'static str,
    /// How long it takes.
    pub complexity: &'static str,
    /// What it does.
    pub summary: &'static str,
}

impl Spec {
    /// The name without the parent's.
    pub fn short_name(&self) -> &'static str {
        self.name.split_once('|').map_or(self.name, |(_, name)| name)
    }

    /// Whether it is a subcommand of `parent`.
    pub fn is_child_of(&self, parent: &str) -> bool {
        self.name.split_once('|').is_some_and(|(name, _)| name == parent)
    }

    /// Whether a request of `count` arguments is complete.
    #[inline]
    pub fn accepts(&self, count: usize) -> bool {
        let arity = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { count >= arity } else { count == arity }
    }
}

const NONE: (i8, i8, i8) = (0, 0, 0);
const ONE: (i8, i8, i8) = (1, 1, 1);
const ALL: (i8, i8, i8) = (1, -1, 1);
const PAIRS: (i8, i8, i8) = (1, -1, 2);

macro_rules! catalogue {
    ($($id:ident $name:literal $arity:literal $group:ident [$($flag:ident)*] $keys:ident
       $since:literal $complexity:literal $summary:literal;)*) => {
        /// A command or subcommand.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Command {
            $(#[doc = $summary] $id,)*
        }

        impl Command {
            /// All commands.
            pub const ALL: &[Self] = &[$(Self::$id),*];
        }

        static SPECS: &[Spec] = &[$(Spec {
            name: $name,
            arity: $arity,
            flags: 0 $(| flag::$flag)*,
            keys: $keys,
            group: Group::$group,
            since: $since,
            complexity: $complexity,
            summary: $summary,
        }),*];

        const NAMES: &[&str] = &[$($name),*];
    };
}

catalogue! {
    Ping "ping" -1 Connection [FAST] NONE "1.0.0" "O(1)" "Answers, to show that it is there.";
    Echo "echo" 2 Connection [LOADING STALE FAST] NONE "1.0.0" "O(1)" "Returns its argument.";
    Auth "auth" -2 Connection [NOSCRIPT LOADING STALE FAST NO_AUTH ALLOW_BUSY] NONE "1.0.0" "O(1)"
        "Names a user; here everybody is the default user.";
    Hello "hello" -1 Connection [NOSCRIPT LOADING STALE FAST NO_AUTH ALLOW_BUSY] NONE "6.0.0"
        "O(1)" "Describes the server, and changes the version of the protocol.";
    Quit "quit" -1 Connection [NOSCRIPT LOADING STALE FAST NO_AUTH ALLOW_BUSY] NONE "1.0.0" "O(1)"
        "Closes the connection.";
    Reset "reset" 1 Connection [NOSCRIPT LOADING STALE FAST NO_AUTH ALLOW_BUSY] NONE "6.2.0" "O(1)"
        "Makes the connection as it was in the beginning.";
    Select "select" 2 Connection [LOADING STALE FAST] NONE "1.0.0" "O(1)"
        "Changes the database; there is only number 0.";
    Client "client" -2 Connection [] NONE "2.4.0" "Depends on the subcommand."
        "Contains the commands about connections.";
    ClientGetname "client|getname" 2 Connection [NOSCRIPT LOADING STALE] NONE "2.6.9" "O(1)"
        "Returns the name of this connection.";
    ClientHelp "client|help" 2 Connection [LOADING STALE] NONE "5.0.0" "O(1)"
        "Prints this help.";
    ClientId "client|id" 2 Connection [NOSCRIPT LOADING STALE] NONE "5.0.0" "O(1)"
        "Returns the id of this connection.";
    ClientInfo "client|info" 2 Connection [NOSCRIPT LOADING STALE] NONE "6.2.0" "O(1)"
        "Describes this connection.";
    ClientList "client|list" -2 Connection [ADMIN NOSCRIPT LOADING STALE DANGEROUS] NONE "2.4.0"
        "O(N) where N is the number of connections" "Describes all connections.";
    ClientSetinfo "client|setinfo" 4 Connection [NOSCRIPT LOADING STALE] NONE "7.2.0" "O(1)"
        "Tells name or version of the client's library.";
    ClientSetname "client|setname" 3 Connection [NOSCRIPT LOADING STALE] NONE "2.6.9" "O(1)"
        "Gives this connection a name.";

    Get "get" 2 String [READONLY FAST] ONE "1.0.0" "O(1)" "Returns a value.";
    Set "set" -3 String [WRITE DENYOOM] ONE "1.0.0" "O(1)"
        "Sets a value, on conditions and for a time if asked to.";
    Setnx "setnx" 3 String [WRITE DENYOOM FAST] ONE "1.0.0" "O(1)"
        "Sets a value if the key is not there.";
    Setex "setex" 4 String [WRITE DENYOOM] ONE "2.0.0" "O(1)"
        "Sets a value and how many seconds it lives.";
    Psetex "psetex" 4 String [WRITE DENYOOM] ONE "2.6.0" "O(1)"
        "Sets a value and how many milliseconds it lives.";
    Getset "getset" 3 String [WRITE DENYOOM FAST] ONE "1.0.0" "O(1)"
        "Sets a value and returns the one before.";
    Getdel "getdel" 2 String [WRITE FAST] ONE "6.2.0" "O(1)" "Removes a key and returns its value.";
    Append "append" 3 String [WRITE DENYOOM FAST] ONE "2.0.0" "O(1), amortised"
        "Adds bytes at the end of a value.";
    Strlen "strlen" 2 String [READONLY FAST] ONE "2.2.0" "O(1)" "Returns the length of a value.";
    Incr "incr" 2 String [WRITE DENYOOM FAST] ONE "1.0.0" "O(1)" "Adds one to a number.";
    Decr "decr" 2 String [WRITE DENYOOM FAST] ONE "1.0.0" "O(1)" "Subtracts one from a number.";
    Incrby "incrby" 3 String [WRITE DENYOOM FAST] ONE "1.0.0" "O(1)" "Adds to a number.";
    Decrby "decrby" 3 String [WRITE DENYOOM FAST] ONE "1.0.0" "O(1)" "Subtracts from a number.";
    Mget "mget" -2 String [READONLY FAST] ALL "1.0.0" "O(N) where N is the number of keys"
        "Returns several values.";
    Mset "mset" -3 String [WRITE DENYOOM] PAIRS "1.0.1" "O(N) where N is the number of keys"
        "Sets several values.";

    Del "del" -2 Generic [WRITE] ALL "1.0.0" "O(N) where N is the number of keys" "Removes keys.";
    Unlink "unlink" -2 Generic [WRITE FAST] ALL "4.0.0" "O(N) where N is the number of keys"
        "Removes keys.";
    Exists "exists" -2 Generic [READONLY FAST] ALL "1.0.0" "O(N) where N is the number of keys"
        "Counts which of the keys are there.";
    Touch "touch" -2 Generic [READONLY FAST] ALL "3.2.1" "O(N) where N is the number of keys"
        "Counts which of the keys are there.";
    Expire "expire" -3 Generic [WRITE FAST] ONE "1.0.0" "O(1)" "Sets how many seconds a key lives.";
    Pexpire "pexpire" -3 Generic [WRITE FAST] ONE "2.6.0" "O(1)"
        "Sets how many milliseconds a key lives.";
    Expireat "expireat" -3 Generic [WRITE FAST] ONE "1.2.0" "O(1)"
        "Sets in which second a key expires.";
    Pexpireat "pexpireat" -3 Generic [WRITE FAST] ONE "2.6.0" "O(1)"
        "Sets in which millisecond a key expires.";
    Ttl "ttl" 2 Generic [READONLY FAST] ONE "1.0.0" "O(1)" "Returns how many seconds a key lives.";
    Pttl "pttl" 2 Generic [READONLY FAST] ONE "2.6.0" "O(1)"
        "Returns how many milliseconds a key lives.";
    Persist "persist" 2 Generic [WRITE FAST] ONE "2.2.0" "O(1)" "Lets a key live for ever.";
    Type "type" 2 Generic [READONLY FAST] ONE "1.0.0" "O(1)" "Returns the type of a value.";
    Keys "keys" 2 Generic [READONLY DANGEROUS] NONE "1.0.0" "O(N) where N is the number of keys"
        "Returns all keys that match a pattern.";
    Scan "scan" -2 Generic [READONLY] NONE "2.8.0"
        "O(1) for each call, O(N) for all of a scan, where N is the number of keys"
        "Returns some keys, and where to go on.";

    Dbsize "dbsize" 1 Server [READONLY FAST] NONE "1.0.0" "O(1)" "Counts the keys.";
    Flushall "flushall" -1 Server [WRITE DANGEROUS] NONE "1.0.0"
        "O(N) where N is the number of keys" "Removes all keys.";
    Flushdb "flushdb" -1 Server [WRITE DANGEROUS] NONE "1.0.0"
        "O(N) where N is the number of keys" "Removes all keys.";
    Bgrewriteaof "bgrewriteaof" 1 Server [ADMIN NOSCRIPT DANGEROUS] NONE "1.0.0" "O(1)"
        "Rewrites the append-only file in the background.";
    Info "info" -1 Server [LOADING STALE DANGEROUS] NONE "1.0.0" "O(1)" "Describes the server.";
    Time "time" 1 Server [LOADING STALE FAST] NONE "2.6.0" "O(1)" "Returns the server's time.";
    Command "command" -1 Server [LOADING STALE] NONE "2.8.13"
        "O(N) where N is the number of commands" "Describes all commands.";
    CommandCount "command|count" 2 Server [LOADING STALE] NONE "2.8.13" "O(1)"
        "Counts the commands.";
    CommandDocs "command|docs" -2 Server [LOADING STALE] NONE "7.0.0"
        "O(N) where N is the number of commands" "Documents some commands, or all.";
    CommandHelp "command|help" 2 Server [LOADING STALE] NONE "5.0.0" "O(1)" "Prints this help.";
    CommandInfo "command|info" -2 Server [LOADING STALE] NONE "2.8.13"
        "O(N) where N is the number of commands" "Describes some commands, or all.";
    CommandList "command|list" -2 Server [LOADING STALE] NONE "7.0.0"
        "O(N) where N is the number of commands" "Names the commands.";
    Config "config" -2 Server [] NONE "2.0.0" "Depends on the subcommand."
        "Contains the commands about the configuration.";
    ConfigGet "config|get" -3 Server [ADMIN NOSCRIPT LOADING STALE DANGEROUS] NONE "2.0.0"
        "O(N) where N is the number of parameters" "Returns parameters that match the patterns.";
    ConfigHelp "config|help" 2 Server [LOADING STALE] NONE "5.0.0" "O(1)" "Prints this help.";

    Publish "publish" 3 Pubsub [PUBSUB LOADING STALE FAST] NONE "2.0.0"
        "O(N+M) where N is the number of receivers and M the number of patterns"
        "Sends a message to a channel.";
    Subscribe "subscribe" -2 Pubsub [PUBSUB NOSCRIPT LOADING STALE] NONE "2.0.0"
        "O(N) where N is the number of channels" "Listens to channels.";
    Psubscribe "psubscribe" -2 Pubsub [PUBSUB NOSCRIPT LOADING STALE] NONE "2.0.0"
        "O(N) where N is the number of patterns" "Listens to all channels that match patterns.";
    Unsubscribe "unsubscribe" -1 Pubsub [PUBSUB NOSCRIPT LOADING STALE] NONE "2.0.0"
        "O(N) where N is the number of channels" "Listens to channels no longer.";
    Punsubscribe "punsubscribe" -1 Pubsub [PUBSUB NOSCRIPT LOADING STALE] NONE "2.0.0"
        "O(N) where N is the number of patterns" "Listens to patterns no longer.";
    Pubsub "pubsub" -2 Pubsub [] NONE "2.8.0" "Depends on the subcommand."
        "Contains the commands about channels.";
    PubsubChannels "pubsub|channels" -2 Pubsub [PUBSUB LOADING STALE] NONE "2.8.0"
        "O(N) where N is the number of channels" "Returns the channels that somebody listens to.";
    PubsubHelp "pubsub|help" 2 Pubsub [LOADING STALE] NONE "6.2.0" "O(1)" "Prints this help.";
    PubsubNumpat "pubsub|numpat" 2 Pubsub [PUBSUB LOADING STALE] NONE "2.8.0" "O(1)"
        "Counts the patterns that somebody listens to.";
    PubsubNumsub "pubsub|numsub" -2 Pubsub [PUBSUB LOADING STALE] NONE "2.8.0"
        "O(N) where N is the number of channels" "Counts who listens to channels.";
}

impl Command {
    /// What is known of it.
    #[inline]
    pub fn spec(self) -> &'static Spec {
        &SPECS[self as usize]
    }

    /// The command of this name, in any case of letters.
    #[inline]
    pub fn find(name: &[u8]) -> Option<Self> {
        let packed = pack(name)?;
        let index = usize::from(INDEX[slot(packed, MULTIPLIER)]);
        let found = *Self::ALL.get(index)?;
        (PACKED[index] == packed && NAMES[index].len() == name.len()).then_some(found)
    }

    /// The subcommand of this name.
    pub fn find_child(self, name: &[u8]) -> Option<Self> {
        let parent = self.spec().name;
        self.children().find(|child| {
            let child = &child.spec().name[parent.len() + 1..];
            child.as_bytes().eq_ignore_ascii_case(name)
        })
    }

    /// Its subcommands.
    pub fn children(self) -> impl Iterator<Item = Self> {
        let parent = self.spec().name;
        Self::ALL.iter().copied().filter(move |child| child.spec().is_child_of(parent))
    }

    /// All that are no subcommands.
    pub fn top_level() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|command| !command.spec().name.contains('|'))
    }
}

/// A name of up to sixteen bytes in upper case, as a number. Clearing one bit turns a small letter
/// into the capital and, but for that letter, gives a capital to nothing else; as all names are
/// letters, equal numbers and equal lengths mean equal names.
#[inline]
const fn pack(name: &[u8]) -> Option<u128> {
    if name.len() > 16 {
        return None;
    }
    let mut packed: u128 = 0;
    let mut index = 0;
    while index < name.len() {
        packed = packed << 8 | (name[index] & 0xdf) as u128;
        index += 1;
    }
    Some(packed)
}

const SLOTS: usize = 512;
const VACANT: u8 = u8::MAX;

#[inline]
const fn slot(packed: u128, multiplier: u64) -> usize {
    let folded = packed as u64 ^ (packed >> 64) as u64;
    (folded.wrapping_mul(multiplier) >> 55) as usize
}

/// The names as numbers; 0 for subcommands, which are not looked up this way.
static PACKED: [u128; NAMES.len()] = packed();

const fn packed() -> [u128; NAMES.len()] {
    let mut packed = [0; NAMES.len()];
    let mut index = 0;
    while index < NAMES.len() {
        let name = NAMES[index].as_bytes();
        let (mut position, mut top_level) = (0, true);
        while position < name.len() {
            top_level &= name[position] != b'|';
            position += 1;
        }
        if top_level && let Some(number) = pack(name) {
            packed[index] = number;
        }
        index += 1;
    }
    packed
}

/// A multiplier that gives each name a slot of its own, found by the compiler.
const MULTIPLIER: u64 = {
    let packed = packed();
    let mut multiplier: u64 = 0x9e37_79b9_7f4a_7c15;
    while place(&packed, multiplier).is_none() {
        multiplier = multiplier.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(2);
    }
    multiplier
};

/// For each slot the command whose name belongs there.
static INDEX: [u8; SLOTS] = match place(&packed(), MULTIPLIER) {
    Some(index) => index,
    None => unreachable!(),
};

const fn place(packed: &[u128; NAMES.len()], multiplier: u64) -> Option<[u8; SLOTS]> {
    let mut slots = [VACANT; SLOTS];
    let mut index = 0;
    while index < packed.len() {
        if packed[index] != 0 {
            let slot = slot(packed[index], multiplier);
            if slots[slot] != VACANT {
                return None;
            }
            slots[slot] = index as u8;
        }
        index += 1;
    }
    Some(slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_command() {
        for &command in Command::ALL {
            let spec = command.spec();
            assert_eq!(spec.name, spec.name.to_ascii_lowercase());
            match spec.name.split_once('|') {
                None => {
                    assert_eq!(Command::find(spec.name.as_bytes()), Some(command));
                    assert_eq!(Command::find(spec.name.to_uppercase().as_bytes()), Some(command));
                    assert!(spec.name.bytes().all(|byte| byte.is_ascii_lowercase()));
                }
                Some((parent, name)) => {
                    assert_eq!(Command::find(spec.name.as_bytes()), None);
                    let parent = Command::find(parent.as_bytes()).unwrap();
                    assert_eq!(parent.find_child(name.to_uppercase().as_bytes()), Some(command));
                }
            }
        }
    }

    #[test]
    fn similar_names_find_nothing() {
        for name in
            ["", "ge", "get ", " get", "gett", "g\0t", "get\0", "@ET", "a_long_unknown_name"]
        {
            assert_eq!(Command::find(name.as_bytes()), None, "{name:?}");
        }
    }
}

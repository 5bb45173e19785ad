//! What a run of the model is at one moment: what is in force, what each host has loaded, and how far each publish and
//! each change of rules has come.

pub const HOSTS: usize = 2;
pub const PUBLISHES: usize = 2;
pub const CHANGES: usize = 2;

pub type Release = u8;

/// What is in force, or what a host judges by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rules {
    pub release: Release,
    /// Raised by each change of an exemption; none was ever made where it is 0.
    pub number: u8,
    /// Whether an exemption lets what the release would refuse pass.
    pub exempts: bool,
}

impl Rules {
    /// What the host compares: it knows exemptions by their number.
    pub fn stamp(self) -> (Release, u8) {
        (self.release, self.number)
    }

    /// What they say of a publish depends on nothing else.
    pub fn judge_as(self, other: Self) -> bool {
        (self.release, self.exempts) == (other.release, other.exempts)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    pub active: Rules,
    pub hosts: [Host; HOSTS],
    pub publishes: [Publish; PUBLISHES],
    pub changes: [Progress; CHANGES],
    /// What each publish committed: the rules that judged it, and those that were active then.
    pub committed: [Option<(Rules, Rules)>; PUBLISHES],
    /// A publish committed what it had committed already.
    pub committed_again: bool,
    pub kills: u8,
    pub failed_loads: u8,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Host {
    pub is_down: bool,
    /// What it judges by; none until its first load.
    pub loaded: Option<Rules>,
    /// It could not load what is active.
    pub is_behind: bool,
    pub loading: Option<Loading>,
    /// It is about to hear that rules changed.
    pub notice: bool,
    pub transaction: Option<Transaction>,
}

/// What a host has read of what it is loading. What it holds already it does not read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Loading {
    pub release: Release,
    pub number: Option<u8>,
    pub exempts: Option<bool>,
}

/// A group of publishes that is being committed, which holds the rules as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transaction {
    pub group: Group,
    /// The release and the exemptions' number, as they were read.
    pub read: Option<(Release, u8)>,
    /// Whose keys and versions are written.
    pub written: Option<Group>,
}

/// Some of the publishes, a bit for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Group(pub u8);

impl Group {
    pub fn members(self) -> impl Iterator<Item = usize> {
        (0..PUBLISHES).filter(move |number| self.0 & (1 << number) != 0)
    }

    pub fn with(self, number: usize) -> Self {
        Self(self.0 | 1 << number)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Publish {
    pub host: usize,
    pub tries: u8,
    pub retried: bool,
    pub at: At,
}

impl Publish {
    pub fn new(host: usize, retried: bool) -> Self {
        Self { host, tries: 0, retried, at: At::Arrived }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    /// Its host is about to judge it.
    Arrived,
    /// These rules let it in.
    Approved(Rules),
    /// These rules refuse it, and nobody was told.
    Rejected(Rules),
    /// The rules were looked at for the last time: whether those that refuse it were active then.
    Refusing {
        by_active: bool,
    },
    /// The rules moved; its host must look before it judges again.
    Moved,
    /// Its host looks.
    Looking,
    /// Committed, and its client does not know yet.
    Written,
    Answered(Answer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    Created,
    Exists,
    Refused {
        by_active: bool,
    },
    /// Judged as often as it may be.
    Busy,
    NotReady,
    /// Its host was killed.
    HungUp,
}

/// What somebody wants to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Activate(Release),
    /// An exemption is made.
    Exempt,
    /// It is taken back.
    TakeBack,
    Nothing,
}

/// How far a change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Progress {
    Wanted,
    /// With the release that its client believes active.
    Asked(Release),
    /// It holds the rules alone.
    Holds(Release),
    Done,
    /// Another was active than its client believed.
    Refused,
    HungUp,
}

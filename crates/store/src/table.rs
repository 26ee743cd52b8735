use std::fmt;

/// A declared table. Compared by name.
#[derive(Debug)]
pub struct Table {
    /// Lower-case name, unique, part of the on-disk format.
    pub name: &'static str,
    /// What the partition key is made of, for people and for schemas.
    pub partition: &'static str,
    /// What the clustering key is made of; rows of a partition are ordered by its bytes.
    pub clustering: &'static str,
    pub retention: Retention,
    pub compaction: Compaction,
}

/// How long a row of a table is kept when its writer says nothing more exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Until it is deleted.
    Forever,
    /// As long as the app's plan keeps messages, by the plan that is in force when somebody reads. Such a row has no end of
    /// its own: the storage service serves nothing that is older, and removes it (`docs/adr/0012-retention.md`).
    Plan,
    /// A fixed time from its writing on, in milliseconds.
    Fixed { ms: u64 },
    /// Until it has not been used for so long, in milliseconds: whoever uses the row writes it, and with that its time
    /// begins anew. For engines the same as [`Retention::Fixed`].
    Idle { ms: u64 },
}

impl Retention {
    /// Milliseconds from its writing on after which a row ends by itself; `None` when others decide.
    pub fn own_life_ms(self) -> Option<u64> {
        match self {
            Retention::Fixed { ms } | Retention::Idle { ms } => Some(ms),
            // The plan belongs to the app, which only the storage service knows.
            Retention::Plan | Retention::Forever => None,
        }
    }
}

/// How an engine that has a choice compacts the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compaction {
    /// Rows are overwritten and deleted one by one.
    Leveled,
    /// Rows come in the order of time and expire together.
    TimeWindow,
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Table {}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

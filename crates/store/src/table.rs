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
    /// As long as the app's plan keeps messages.
    Plan,
    /// A fixed time, in milliseconds.
    Fixed { ms: u64 },
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

/// Where a sealed value belongs; its bytes are the additional data of the seal.
#[derive(Clone, Copy, Debug)]
pub struct RowIdentity<'a> {
    /// Name of the region.
    pub region: &'a str,
    /// Empty for the region itself, else the 16 bytes of the app's identity.
    pub scope: &'a [u8],
    /// Name of the table.
    pub table: &'a str,
    pub partition: &'a [u8],
    pub clustering: &'a [u8],
}

impl RowIdentity<'_> {
    /// Each part behind its length, so that no two identities have the same bytes; the key version closes them.
    pub(crate) fn additional_data(&self, key_version: u32) -> Vec<u8> {
        let parts =
            [self.region.as_bytes(), self.scope, self.table.as_bytes(), self.partition, self.clustering];
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum::<usize>() + 4);
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(&key_version.to_be_bytes());
        bytes
    }
}

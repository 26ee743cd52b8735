//! MSYNC: codec and sans-IO session. Bytes and the time in, commands out.

//! AccessToken2: encode, decode, verify. No I/O, no clock.

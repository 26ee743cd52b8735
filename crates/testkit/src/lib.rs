//! A whole region in a test.

//! AES-256-GCM for everything stored: data keys, sealed values, their additional data.

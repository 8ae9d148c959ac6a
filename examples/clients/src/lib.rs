//! Clients that others wrote, with tower-bearer below them. See the examples beside this.

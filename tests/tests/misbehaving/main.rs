//! Guests that misbehave, each in its own way. Each hurts only itself: its
//! call gets a clear error, its next call works, a neighbour in the same process answers meanwhile, and
//! the memory of the process stays in bounds.
#![cfg(target_os = "linux")]

mod http;
mod memory;
mod output;
mod time;

//! Searches all memory that a guest has.

use std::ptr;

#[cfg(target_arch = "wasm32")]
const PAGE: usize = 64 * 1024;

/// Where the needles are, each by its number: also in what was freed, and on the stack. Upper and lower
/// case are the same.
pub fn search(needles: &[Vec<u8>], mask: u8) -> Vec<(usize, usize)> {
    let size = size();
    let mut by_first = vec![Vec::new(); 256];
    for (number, needle) in needles.iter().enumerate() {
        by_first[usize::from(needle[0] ^ mask)].push((number, needle));
    }
    let mut found = Vec::new();
    // The byte at 0 is where nothing is.
    for address in 1..size {
        for (number, needle) in &by_first[usize::from(read(address))] {
            let mut places = (address..size).zip(*needle);
            let is_whole = address + needle.len() <= size;
            if is_whole && places.all(|(at, byte)| read(at) ^ mask == *byte) {
                found.push((*number, address));
            }
        }
    }
    found
}

#[cfg(target_arch = "wasm32")]
fn size() -> usize {
    core::arch::wasm32::memory_size::<0>() * PAGE
}

/// Elsewhere there is no memory that could be read from end to end.
#[cfg(not(target_arch = "wasm32"))]
fn size() -> usize {
    0
}

fn read(address: usize) -> u8 {
    // SAFETY: every address below the memory's size, which only grows, is readable in WebAssembly.
    // Nothing else runs, and a volatile read may see any byte.
    let byte = unsafe { ptr::read_volatile(ptr::with_exposed_provenance::<u8>(address)) };
    byte.to_ascii_lowercase()
}

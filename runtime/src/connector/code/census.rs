//! Counts what a component holds, before anything works on it: a few bytes can ask for a lot.

use anyhow::{anyhow, ensure};
use wasmparser::{Parser, Payload};

use crate::envelope::{Limit, Limits};

/// Components in components. Every composition adds one or two; the parser keeps each in memory.
const DEPTH: usize = 50;
/// Modules, components and instances of both. An adapter adds two or three.
const PARTS: u64 = 10_000;
/// Types. A connector has some hundred, and each of its modules too.
const TYPES: u64 = 1_000_000;

#[derive(Debug, Default)]
struct Census {
    depth: usize,
    parts: u64,
    types: u64,
    functions: u64,
    bodies: u64,
}

/// Checks the counts of a component. Bodies of functions are passed over.
///
/// # Errors
/// When there is more of something than may be, or the file is damaged.
pub(in crate::connector) fn check(component: &[u8], limits: &Limits) -> anyhow::Result<()> {
    let mut census = Census::default();
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(|error| anyhow!("it is damaged or cut off: {error}"))?;
        census.count(&payload);
        census.check(limits)?;
    }
    Ok(())
}

impl Census {
    fn count(&mut self, payload: &Payload<'_>) {
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                self.depth += 1;
                self.parts += 1;
            }
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::InstanceSection(section) => self.parts += u64::from(section.count()),
            Payload::ComponentInstanceSection(section) => self.parts += u64::from(section.count()),
            Payload::TypeSection(section) => self.types += u64::from(section.count()),
            Payload::CoreTypeSection(section) => self.types += u64::from(section.count()),
            Payload::ComponentTypeSection(section) => self.types += u64::from(section.count()),
            Payload::FunctionSection(section) => self.functions += u64::from(section.count()),
            // Each is compiled into a function that goes between the guest and the host.
            Payload::ComponentCanonicalSection(section) => {
                self.functions += u64::from(section.count());
            }
            // A damaged file can have more of them than it says.
            Payload::CodeSectionEntry(_) => self.bodies += 1,
            _ => {}
        }
    }

    fn check(&self, limits: &Limits) -> anyhow::Result<()> {
        ensure!(
            self.functions.max(self.bodies) <= limits.get(Limit::Functions),
            limits.breach(Limit::Functions)
        );
        ensure!(self.depth <= DEPTH, "its components are nested more than {DEPTH} deep");
        ensure!(self.parts <= PARTS, "it has more than {PARTS} modules, components and instances");
        ensure!(self.types <= TYPES, "it has more than {TYPES} types");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";

    fn leb(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        [&[id][..], &leb(content.len() as u64), content].concat()
    }

    fn component(sections: &[Vec<u8>]) -> Vec<u8> {
        [HEADER, &sections.concat()].concat()
    }

    /// A section that says how many items it has and then has none.
    fn empty_promise(id: u8, count: u64) -> Vec<u8> {
        component(&[section(id, &leb(count))])
    }

    fn nested(depth: usize) -> Vec<u8> {
        (0..depth).fold(component(&[]), |inner, _| component(&[section(4, &inner)]))
    }

    #[test]
    fn counts_are_bounded_before_anything_is_compiled() {
        let (instances, types, canonical) = (2, 3, 8);
        let limits = Limits::default().with(Limit::Functions, 10);
        let cases: [(&str, Vec<u8>, Result<(), &str>); 8] = [
            ("nothing", component(&[]), Ok(())),
            ("few functions", empty_promise(canonical, 10), Ok(())),
            ("many functions", empty_promise(canonical, 11), Err("more than 10 functions")),
            ("many instances", empty_promise(instances, PARTS + 1), Err("instances")),
            ("many types", empty_promise(types, TYPES + 1), Err("types")),
            ("nested", nested(DEPTH), Ok(())),
            ("nested too deep", nested(DEPTH + 1), Err("nested")),
            ("cut off", component(&[vec![types, 100]]), Err("cut off")),
        ];
        for (what, bytes, expected) in cases {
            match (check(&bytes, &limits), expected) {
                (Ok(()), Ok(())) => {}
                (Err(error), Err(says)) => {
                    assert!(error.to_string().contains(says), "{what}: {error}");
                }
                (outcome, _) => panic!("{what}: {outcome:?}"),
            }
        }
    }

    #[test]
    fn a_breach_names_the_setting() {
        let limits = Limits::default().with(Limit::Functions, 1);
        let error = check(&empty_promise(8, 2), &limits).expect_err("too many");
        assert!(error.to_string().contains("functions in [limits]"), "{error}");
    }
}

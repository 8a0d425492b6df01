//! Puts values into a guest's memory, as the canonical ABI wants them.

use serde_json::Value;
use wit_parser::abi::{FlatTypes, WasmType};
use wit_parser::{Int, Resolve, SizeAlign, Type, TypeDefKind};

/// A piece of a guest's memory that fills up from its start.
pub(crate) struct Memory<'a> {
    resolve: &'a Resolve,
    sizes: &'a SizeAlign,
    /// Where the piece is in the guest's memory.
    start: usize,
    pub bytes: Vec<u8>,
}

impl<'a> Memory<'a> {
    /// The piece begins there.
    pub fn new(resolve: &'a Resolve, sizes: &'a SizeAlign, start: usize) -> Self {
        Self { resolve, sizes, start, bytes: Vec::new() }
    }

    /// Puts a value there, and gives its address.
    pub fn put(&mut self, ty: &Type, value: &Value) -> u64 {
        let at = self.room(self.sizes.size(ty).size_wasm32(), self.align(ty));
        self.store(ty, value, at);
        self.address(at)
    }

    /// Puts the values of a record's fields there, and gives its address.
    pub fn put_all(&mut self, types: &[Type], values: &[Value]) -> u64 {
        let sizes = self.sizes;
        let record = sizes.record(types);
        let at = self.room(record.size.size_wasm32(), record.align.align_wasm32());
        for ((offset, ty), value) in sizes.field_offsets(types).into_iter().zip(values) {
            self.store(ty, value, at + offset.size_wasm32());
        }
        self.address(at)
    }

    /// The value as parameters of a core function.
    pub fn flat(&mut self, ty: &Type, value: &Value, to: &mut Vec<u64>) {
        let Type::Id(id) = ty else {
            return match ty {
                Type::String => self.flat_text(value, to),
                _ => to.push(number(value)),
            };
        };
        let resolve = self.resolve;
        match &resolve.types[*id].kind {
            TypeDefKind::Type(ty) => self.flat(ty, value, to),
            TypeDefKind::Record(record) => {
                record
                    .fields
                    .iter()
                    .for_each(|field| self.flat(&field.ty, &value[&*field.name], to));
            }
            TypeDefKind::Tuple(tuple) => {
                tuple.types.iter().enumerate().for_each(|(at, ty)| self.flat(ty, &value[at], to));
            }
            TypeDefKind::Option(inner) => {
                let full = to.len() + flat_count(resolve, ty);
                to.push(u64::from(!value.is_null()));
                if !value.is_null() {
                    self.flat(inner, value, to);
                }
                to.resize(full, 0);
            }
            TypeDefKind::List(inner) => {
                let (at, count) = self.list(inner, value);
                to.extend([at, count]);
            }
            _ => to.push(number(value)),
        }
    }

    fn flat_text(&mut self, value: &Value, to: &mut Vec<u64>) {
        let (at, length) = self.text(value);
        to.extend([at, length]);
    }

    fn align(&self, ty: &Type) -> usize {
        self.sizes.align(ty).align_wasm32()
    }

    fn address(&self, at: usize) -> u64 {
        (self.start + at) as u64
    }

    fn room(&mut self, size: usize, align: usize) -> usize {
        let at = (self.start + self.bytes.len()).next_multiple_of(align) - self.start;
        self.bytes.resize(at + size, 0);
        at
    }

    fn write(&mut self, at: usize, number: u64, size: usize) {
        self.bytes[at..at + size].copy_from_slice(&number.to_le_bytes()[..size]);
    }

    fn text(&mut self, value: &Value) -> (u64, u64) {
        let text = value.as_str().unwrap_or_default();
        let at = self.room(0, 1);
        self.bytes.extend_from_slice(text.as_bytes());
        (self.address(at), text.len() as u64)
    }

    fn list(&mut self, ty: &Type, value: &Value) -> (u64, u64) {
        let values = value.as_array().map_or(&[][..], Vec::as_slice);
        let size = self.sizes.size(ty).size_wasm32();
        let at = self.room(size * values.len(), self.align(ty));
        for (index, value) in values.iter().enumerate() {
            self.store(ty, value, at + index * size);
        }
        (self.address(at), values.len() as u64)
    }

    fn store(&mut self, ty: &Type, value: &Value, at: usize) {
        let Type::Id(id) = ty else {
            return match ty {
                Type::String => {
                    let (address, length) = self.text(value);
                    self.write(at, address, 4);
                    self.write(at + 4, length, 4);
                }
                _ => self.write(at, number(value), self.sizes.size(ty).size_wasm32()),
            };
        };
        let (resolve, sizes) = (self.resolve, self.sizes);
        match &resolve.types[*id].kind {
            TypeDefKind::Type(ty) => self.store(ty, value, at),
            TypeDefKind::Record(record) => {
                let offsets = sizes.field_offsets(record.fields.iter().map(|field| &field.ty));
                for ((offset, ty), field) in offsets.into_iter().zip(&record.fields) {
                    self.store(ty, &value[&*field.name], at + offset.size_wasm32());
                }
            }
            TypeDefKind::Tuple(tuple) => {
                let offsets = sizes.field_offsets(&tuple.types).into_iter().enumerate();
                for (index, (offset, ty)) in offsets {
                    self.store(ty, &value[index], at + offset.size_wasm32());
                }
            }
            TypeDefKind::List(ty) => {
                let (address, count) = self.list(ty, value);
                self.write(at, address, 4);
                self.write(at + 4, count, 4);
            }
            TypeDefKind::Option(ty) => {
                self.write(at, u64::from(!value.is_null()), 1);
                let offset = sizes.payload_offset(Int::U8, [None, Some(ty)]).size_wasm32();
                if !value.is_null() {
                    self.store(ty, value, at + offset);
                }
            }
            TypeDefKind::Result(result) => {
                let cases = [result.ok.as_ref(), result.err.as_ref()];
                self.case(Int::U8, &cases, value, at);
            }
            TypeDefKind::Variant(variant) => {
                let cases: Vec<_> = variant.cases.iter().map(|case| case.ty.as_ref()).collect();
                self.case(variant.tag(), &cases, value, at);
            }
            // Enums and flags.
            _ => self.write(at, number(value), sizes.size(ty).size_wasm32()),
        }
    }

    fn case(&mut self, tag: Int, cases: &[Option<&Type>], value: &Value, at: usize) {
        let case = number(&value[0]);
        self.write(at, case, 1);
        let offset = self.sizes.payload_offset(tag, cases.iter().copied()).size_wasm32();
        let payload = usize::try_from(case).ok().and_then(|case| cases.get(case));
        if let Some(Some(ty)) = payload {
            self.store(ty, &value[1], at + offset);
        }
    }
}

/// How many parameters of a core function a type is.
pub(crate) fn flat_count(resolve: &Resolve, ty: &Type) -> usize {
    let mut types = [WasmType::I32; Resolve::MAX_FLAT_PARAMS];
    let mut types = FlatTypes::new(&mut types);
    resolve.push_flat(ty, &mut types);
    types.to_vec().len()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

//! A connector whose result is not JSON.

misbehaving::answers!("{well: 'no'}".to_owned());

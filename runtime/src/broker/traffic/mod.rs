pub(in crate::broker) mod asked;

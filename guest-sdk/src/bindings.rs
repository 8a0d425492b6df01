//! What wit-bindgen makes of `wit/`.

#![allow(missing_docs, reason = "made by wit-bindgen; the documentation is in wit/")]

wit_bindgen::generate!({
    path: "../wit",
    world: "connector",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "aloma_connector::bindings",
});

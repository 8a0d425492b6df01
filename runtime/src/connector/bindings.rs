//! What wasmtime makes of `wit/`.

#![allow(missing_docs, reason = "generated; the documentation is in wit/")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "connector",
    imports: {
        "aloma:connector/http.send": async | trappable,
        "aloma:connector/http.wait": async | trappable,
        "aloma:connector/workspace": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});

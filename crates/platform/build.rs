//! Tells the crate which sanitizer it is compiled for: the
//! compiler's own `cfg(sanitize)` is not stable, but cargo shows it to build scripts.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(raddle_sanitize, values(\"thread\", \"address\"))");
    println!("cargo::rerun-if-changed=build.rs");
    let sanitizers = std::env::var("CARGO_CFG_SANITIZE").unwrap_or_default();
    for sanitizer in sanitizers.split(',').filter(|name| ["thread", "address"].contains(name)) {
        println!("cargo::rustc-cfg=raddle_sanitize=\"{sanitizer}\"");
    }
}

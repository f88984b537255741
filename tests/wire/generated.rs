//! `src/wire/messages/*.rs` is what the generator makes of `src/wire/schema/*.txt`.
//!
//! `OTTLA_REGENERATE=1 cargo test --test wire generated` writes the modules anew.

use std::{env, fs, path::Path};

use crate::{emit, schema};

#[test]
fn committed_messages_are_what_the_schema_says() {
    let wire = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire");
    let regenerate = env::var_os("OTTLA_REGENERATE").is_some();
    for api in schema::read_apis(&wire.join("schema")) {
        let path = wire.join("messages").join(format!("{}.rs", api.module));
        let expected = emit::module(&api);
        if regenerate {
            fs::write(&path, &expected).expect("write the module");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == expected,
            "{}: differs from its schema; run OTTLA_REGENERATE=1 cargo test --test wire",
            path.display()
        );
    }
}

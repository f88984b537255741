//! `src/wire/messages/` is what the generator makes of `src/wire/schema/`.
//!
//! `OTTLA_REGENERATE=1 cargo test --test wire generated` writes the modules anew.

use std::{env, fs, path::Path};

use crate::{emit, schema};

#[test]
fn committed_messages_are_what_the_schema_says() {
    let wire = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire");
    let regenerate = env::var_os("OTTLA_REGENERATE").is_some();
    let schema = wire.join("schema");
    let apis = schema::read_apis(&schema).into_iter();
    let of_apis = apis.map(|api| (format!("{}.rs", api.module), emit::module(&api)));
    let data = schema::read_data(&schema).into_iter();
    let of_data = data.map(|data| {
        let file = format!("data/{}.rs", data.module);
        (file, emit::data_module(&data))
    });
    for (file, expected) in of_apis.chain(of_data) {
        let path = wire.join("messages").join(file);
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

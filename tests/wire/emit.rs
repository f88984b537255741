//! Turns a schema into the Rust of `src/wire/messages/<api>.rs` and `src/wire/messages/data/`.
//!
//! The output is plain code, one line per field and direction, with everything that repeats in the
//! runtime (`src/wire/reader.rs`, `src/wire/writer.rs`): it is compiled by everyone, every time.

use std::fmt::Write;

use crate::schema::{Api, Data, Field, Kind, Message, Struct, Versions};

/// The text of one API's module.
pub(crate) fn module(api: &Api) -> String {
    let subject = format!("`{}` (key {})", api.name, api.key);
    let mut body = String::new();
    structs(&api.request, &mut body);
    structs(&api.response, &mut body);
    request_impl(api, &mut body);
    let (table, request) = client_or_controller(api);
    head(&subject, &api.request, &api.module, request, table, &body) + body.trim_end() + "\n"
}

/// The text of one module of `data/`.
pub(crate) fn data_module(data: &Data) -> String {
    let subject = match data.record {
        Some(key) => format!("`{}`, records of type {key}", data.name),
        None => format!("`{}`", data.name),
    };
    let mut body = String::new();
    if let Some(key) = data.record {
        let _ = writeln!(
            body,
            "/// What the key of such a record begins with.\npub const TYPE: i16 = {key};\n"
        );
    }
    data.messages
        .iter()
        .for_each(|message| structs(message, &mut body));
    let versioned = data.versioned();
    versioned_impl(versioned, &mut body);
    let file = format!("data/{}", data.module);
    head(&subject, versioned, &file, "Versioned", "Versions", &body) + body.trim_end() + "\n"
}

fn structs(message: &Message, out: &mut String) {
    for (index, own) in message.structs.iter().enumerate() {
        let is_root = index == 0;
        Emitter {
            message,
            own,
            is_root,
        }
        .emit(out);
    }
}

/// The doc comment and the imports of a module that has this body.
fn head(
    subject: &str,
    message: &Message,
    file: &str,
    implemented: &str,
    table: &str,
    body: &str,
) -> String {
    let mut out = String::new();
    let Versions { min, max } = message.valid;
    let flexible = if message.is_ever_flexible() {
        format!("flexible from {}", message.flexible_from)
    } else {
        "never flexible".to_owned()
    };
    let _ = writeln!(
        out,
        "//! {subject}, versions {min}-{max}, {flexible}: generated from"
    );
    let _ = writeln!(
        out,
        "//! `src/wire/schema/{file}.txt`, do not edit. A version's fields are written and read;"
    );
    out.push_str("//! a field that a version lacks reads as its default.\n\n");
    if body.contains("Cow<") {
        out.push_str("use std::borrow::Cow;\n\n");
    }
    let table = format!("api::{table}");
    let mut used = vec![
        table.as_str(),
        "reader::{DecodeError, Reader}",
        "writer::Writer",
    ];
    for (word, import) in [
        ("ErrorCode", "error_code::ErrorCode"),
        ("Records<", "records::Records"),
        ("Uuid", "Uuid"),
    ] {
        used.extend(body.contains(word).then_some(import));
    }
    used.sort_unstable();
    let _ = writeln!(out, "use super::{implemented};");
    let _ = writeln!(out, "use crate::wire::{{{}}};\n", used.join(", "));
    out
}

/// The table that has the API, and the trait of its requests.
fn client_or_controller(api: &Api) -> (&'static str, &'static str) {
    if api.is_of_controller {
        ("ControllerApi", "ControllerRequest")
    } else {
        ("ApiKey", "Request")
    }
}

/// What lets a client send the request and read its response by type.
fn request_impl(api: &Api, out: &mut String) {
    let (request, response) = (
        root_type(&api.request, "<'_>"),
        root_type(&api.response, "<'r>"),
    );
    let (table, implemented) = client_or_controller(api);
    let _ = writeln!(
        out,
        "\
impl {implemented} for {request} {{
    const API: {table} = {table}::{};
    type Response<'r> = {response};

    fn encode(&self, w: &mut Writer, v: i16) {{
        self.encode(w, v);
    }}

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {{
        Self::Response::decode(r, v)
    }}
}}",
        api.name
    );
}

/// What lets a message be read behind its version.
fn versioned_impl(message: &Message, out: &mut String) {
    let Versions { min, max } = message.valid;
    let _ = writeln!(
        out,
        "\
impl<'a> Versioned<'a> for {} {{
    const NAME: &'static str = \"{}\";
    const VERSIONS: Versions = Versions {{ min: {min}, max: {max} }};

    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {{
        Self::decode(r, v)
    }}

    fn encode(&self, w: &mut Writer, v: i16) {{
        self.encode(w, v);
    }}
}}",
        root_type(message, "<'a>"),
        message.root().name
    );
}

/// The name of the message, with the lifetime if it borrows.
fn root_type(message: &Message, lifetime: &str) -> String {
    let root = message.root();
    let borrows = Emitter {
        message,
        own: root,
        is_root: true,
    }
    .borrows(root);
    format!("{}{}", root.name, if borrows { lifetime } else { "" })
}

struct Emitter<'s> {
    message: &'s Message,
    own: &'s Struct,
    is_root: bool,
}

impl Emitter<'_> {
    fn emit(&self, out: &mut String) {
        self.definition(out);
        if !self.derives_default() {
            self.default(out);
        }
        let name = &self.own.name;
        let (generics, lifetime) = if self.borrows(self.own) {
            ("<'a>", "'a")
        } else {
            ("", "'_")
        };
        let _ = writeln!(out, "impl{generics} {name}{generics} {{");
        self.decode(out, lifetime);
        out.push('\n');
        self.encode(out);
        out.push_str("}\n\n");
    }

    fn definition(&self, out: &mut String) {
        let default = if self.derives_default() {
            ", Default"
        } else {
            ""
        };
        let eq = if self.own.fields.iter().any(|f| f.kind == Kind::F64) {
            ""
        } else {
            ", Eq"
        };
        let _ = writeln!(out, "#[derive(Clone, Debug, PartialEq{eq}{default})]");
        let generics = if self.borrows(self.own) { "<'a>" } else { "" };
        let open = if self.own.fields.is_empty() {
            "{}"
        } else {
            "{"
        };
        let _ = writeln!(out, "pub struct {}{generics} {open}", self.own.name);
        for field in &self.own.fields {
            let _ = writeln!(out, "    pub {}: {},", field.name, self.rust_type(field));
        }
        out.push_str(if self.own.fields.is_empty() {
            "\n"
        } else {
            "}\n\n"
        });
    }

    fn default(&self, out: &mut String) {
        let generics = if self.borrows(self.own) { "<'_>" } else { "" };
        let _ = writeln!(out, "impl Default for {}{generics} {{", self.own.name);
        out.push_str("    fn default() -> Self {\n        Self {\n");
        for field in &self.own.fields {
            let _ = writeln!(out, "            {}: {},", field.name, default_value(field));
        }
        out.push_str("        }\n    }\n}\n\n");
    }

    fn decode(&self, out: &mut String, lifetime: &str) {
        let visible = if self.is_root {
            "pub fn decode"
        } else {
            "fn decode"
        };
        let _ = writeln!(
            out,
            "    {visible}(r: &mut Reader<{lifetime}>, v: i16) -> Result<Self, DecodeError> {{"
        );
        if self.is_root {
            let flexible = self.from(self.message.flexible_from);
            let _ = writeln!(out, "        r.set_flexible({flexible});");
        }
        let is_mut = if self.own.fields.is_empty() {
            ""
        } else {
            "mut "
        };
        let _ = writeln!(out, "        let {is_mut}m = Self::default();");
        for field in self.own.fields.iter().filter(|f| f.tag.is_none()) {
            let read = format!("m.{} = {}?;", field.name, read(field));
            self.guarded(out, field, &read);
        }
        let tagged: Vec<_> = self.tagged().collect();
        if tagged.is_empty() && self.message.is_ever_flexible() {
            out.push_str("        r.skip_tags()?;\n");
        }
        if !tagged.is_empty() {
            out.push_str("        r.tags(|r, tag| {\n            match tag {\n");
            for field in tagged {
                let tag = field.tag.unwrap_or_default();
                let guard = condition(field.versions, self.tag_range());
                let guard = guard.map(|g| format!(" if {g}")).unwrap_or_default();
                let _ = writeln!(
                    out,
                    "                {tag}{guard} => m.{} = {}?,",
                    field.name,
                    read(field)
                );
            }
            out.push_str("                _ => return Ok(false),\n            }\n");
            out.push_str("            Ok(true)\n        })?;\n");
        }
        out.push_str("        Ok(m)\n    }\n");
    }

    fn encode(&self, out: &mut String) {
        let visible = if self.is_root {
            "pub fn encode"
        } else {
            "fn encode"
        };
        let _ = writeln!(out, "    {visible}(&self, w: &mut Writer, v: i16) {{");
        if self.is_root {
            let flexible = self.from(self.message.flexible_from);
            let _ = writeln!(out, "        w.set_flexible({flexible});");
        }
        for field in self.own.fields.iter().filter(|f| f.tag.is_none()) {
            let write = format!("{};", write(field));
            self.guarded(out, field, &write);
        }
        let tagged: Vec<_> = self.tagged().collect();
        for field in &tagged {
            let present = condition(field.versions, self.own.versions);
            let present = present.map(|p| format!("{p} && ")).unwrap_or_default();
            let _ = writeln!(
                out,
                "        let has_{} = {present}{};",
                field.name,
                differs(field)
            );
        }
        if tagged.is_empty() && self.message.is_ever_flexible() {
            out.push_str("        w.no_tags();\n");
        }
        if !tagged.is_empty() {
            let names: Vec<_> = tagged.iter().map(|f| format!("has_{}", f.name)).collect();
            let _ = writeln!(out, "        w.tag_count(&[{}]);", names.join(", "));
        }
        for field in &tagged {
            let tag = field.tag.unwrap_or_default();
            let _ = writeln!(
                out,
                "        if has_{} {{\n            w.tag({tag}, |w| {});",
                field.name,
                write(field)
            );
            out.push_str("        }\n");
        }
        out.push_str("    }\n");
    }

    /// One line, under an `if` where the field is not in every version of its struct.
    fn guarded(&self, out: &mut String, field: &Field, line: &str) {
        match condition(field.versions, self.own.versions) {
            Some(condition) => {
                let _ = writeln!(
                    out,
                    "        if {condition} {{\n            {line}\n        }}"
                );
            }
            None => {
                let _ = writeln!(out, "        {line}");
            }
        }
    }

    fn rust_type(&self, field: &Field) -> String {
        let one = match &field.kind {
            Kind::Bool => "bool".to_owned(),
            Kind::I8 => "i8".to_owned(),
            Kind::I16 => "i16".to_owned(),
            Kind::U16 => "u16".to_owned(),
            Kind::I32 => "i32".to_owned(),
            Kind::I64 => "i64".to_owned(),
            Kind::F64 => "f64".to_owned(),
            Kind::Uuid => "Uuid".to_owned(),
            Kind::Error => "ErrorCode".to_owned(),
            Kind::Text => "Cow<'a, str>".to_owned(),
            Kind::Bytes => "Cow<'a, [u8]>".to_owned(),
            Kind::Records => return "Option<Records<'a>>".to_owned(),
            Kind::Struct(name) if self.borrows(self.message.find(name)) => format!("{name}<'a>"),
            Kind::Struct(name) => name.clone(),
        };
        let all = if field.is_array {
            format!("Vec<{one}>")
        } else {
            one
        };
        if field.nullable.is_some() {
            format!("Option<{all}>")
        } else {
            all
        }
    }

    fn borrows(&self, own: &Struct) -> bool {
        own.fields.iter().any(|field| match &field.kind {
            Kind::Text | Kind::Bytes | Kind::Records => true,
            Kind::Struct(name) => self.borrows(self.message.find(name)),
            _ => false,
        })
    }

    fn derives_default(&self) -> bool {
        self.own
            .fields
            .iter()
            .all(|field| match (&field.default, field.nullable) {
                _ if field.defaults_to_null() => true,
                (None, None) => true,
                _ => false,
            })
    }

    fn tagged(&self) -> impl Iterator<Item = &Field> {
        self.own.fields.iter().filter(|f| f.tag.is_some())
    }

    /// Tags are read in flexible versions only, so a guard for the first of those says nothing.
    fn tag_range(&self) -> Versions {
        let min = self.own.versions.min.max(self.message.flexible_from);
        Versions {
            min,
            max: self.own.versions.max,
        }
    }

    fn from(&self, version: i16) -> String {
        if version <= self.own.versions.min {
            "true".into()
        } else if version > self.own.versions.max {
            "false".into()
        } else {
            format!("v >= {version}")
        }
    }
}

fn condition(versions: Versions, within: Versions) -> Option<String> {
    let Versions { min, max } = versions;
    match (min > within.min, max < within.max) {
        (false, false) => None,
        (true, false) => Some(format!("v >= {min}")),
        (false, true) => Some(format!("v <= {max}")),
        (true, true) if min == max => Some(format!("v == {min}")),
        (true, true) => Some(format!("({min}..={max}).contains(&v)")),
    }
}

/// Whether a tagged field has to be written.
fn differs(field: &Field) -> String {
    let name = &field.name;
    match &field.kind {
        _ if field.defaults_to_null() => format!("self.{name}.is_some()"),
        Kind::Struct(kind) if field.nullable.is_some() && !field.is_array => {
            format!("self.{name}.as_ref() != Some(&{kind}::default())")
        }
        _ if field.is_array && field.nullable.is_some() => {
            format!("self.{name}.as_ref().is_none_or(|e| !e.is_empty())")
        }
        _ if field.is_array => format!("!self.{name}.is_empty()"),
        Kind::Struct(kind) => format!("self.{name} != {kind}::default()"),
        Kind::Bool if field.default.is_none() => format!("self.{name}"),
        Kind::Uuid => format!("!self.{name}.is_nil()"),
        _ => format!("self.{name} != {}", default_value(field)),
    }
}

fn null_condition(field: &Field) -> Option<String> {
    let null = field.nullable?;
    Some(condition(null, field.versions).unwrap_or_else(|| "true".to_owned()))
}

fn read(field: &Field) -> String {
    let null = null_condition(field);
    if field.is_array {
        let each = match &field.kind {
            Kind::Struct(name) => format!("|r| {name}::decode(r, v)"),
            kind => format!("Reader::{}", method(kind)),
        };
        return match null {
            Some(null) => format!("r.nullable_array({null}, {each})"),
            None => format!("r.array({each})"),
        };
    }
    match (&field.kind, null) {
        (Kind::Struct(name), None) => format!("{name}::decode(r, v)"),
        (Kind::Struct(name), Some(_)) if field.tag.is_some() => {
            format!("r.tagged_nullable_struct(|r| {name}::decode(r, v))")
        }
        (Kind::Struct(name), Some(_)) => {
            format!("r.nullable_struct(|r| {name}::decode(r, v))")
        }
        (Kind::Records, null) => {
            format!("r.records({})", null.unwrap_or_else(|| "false".to_owned()))
        }
        (kind, Some(null)) => format!("r.nullable_{}({null})", method(kind)),
        (kind, None) => format!("r.{}()", method(kind)),
    }
}

fn write(field: &Field) -> String {
    let null = null_condition(field);
    let name = &field.name;
    if field.is_array {
        let each = match &field.kind {
            Kind::Struct(_) => "|w, e| e.encode(w, v)".to_owned(),
            Kind::Text | Kind::Bytes => format!("|w, e| w.{}(e)", method(&field.kind)),
            kind => format!("|w, e| w.{}(*e)", method(kind)),
        };
        return match null {
            Some(null) => {
                format!("w.nullable_array({null}, self.{name}.as_deref(), {each})")
            }
            None => format!("w.array(&self.{name}, {each})"),
        };
    }
    match (&field.kind, null) {
        (Kind::Struct(_), None) => format!("self.{name}.encode(w, v)"),
        (Kind::Struct(_), Some(_)) if field.tag.is_some() => {
            format!("w.tagged_nullable_struct(self.{name}.as_ref(), |w, e| e.encode(w, v))")
        }
        (Kind::Struct(_), Some(_)) => {
            format!("w.nullable_struct(self.{name}.as_ref(), |w, e| e.encode(w, v))")
        }
        (Kind::Records, null) => {
            format!(
                "w.records({}, self.{name}.as_ref())",
                null.unwrap_or_else(|| "false".to_owned())
            )
        }
        (kind, Some(null)) => {
            format!(
                "w.nullable_{}({null}, self.{name}.as_deref())",
                method(kind)
            )
        }
        (kind @ (Kind::Text | Kind::Bytes), None) => {
            format!("w.{}(&self.{name})", method(kind))
        }
        (kind, None) => format!("w.{}(self.{name})", method(kind)),
    }
}

fn method(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::I8 => "i8",
        Kind::I16 => "i16",
        Kind::U16 => "u16",
        Kind::I32 => "i32",
        Kind::I64 => "i64",
        Kind::F64 => "f64",
        Kind::Uuid => "uuid",
        Kind::Error => "error_code",
        Kind::Text => "string",
        Kind::Bytes => "bytes",
        Kind::Records | Kind::Struct(_) => unreachable!("{kind:?} has a call of its own"),
    }
}

fn default_value(field: &Field) -> String {
    let plain = match (&field.default, &field.kind) {
        _ if field.defaults_to_null() => return "None".to_owned(),
        _ if field.is_array => "Vec::new()".to_owned(),
        (Some(value), Kind::I32 | Kind::I64) => match value.as_str() {
            "2147483647" => "i32::MAX".to_owned(),
            "-2147483648" => "i32::MIN".to_owned(),
            "9223372036854775807" => "i64::MAX".to_owned(),
            _ => value.clone(),
        },
        (Some(value), Kind::Bool | Kind::I8 | Kind::I16 | Kind::U16 | Kind::F64) => value.clone(),
        (Some(value), Kind::Text) => format!("Cow::Borrowed({value:?})"),
        (None, Kind::Bool) => "false".to_owned(),
        (None, Kind::I8 | Kind::I16 | Kind::U16 | Kind::I32 | Kind::I64) => "0".to_owned(),
        (None, Kind::F64) => "0.0".to_owned(),
        (None, Kind::Uuid) => "Uuid::nil()".to_owned(),
        (None, Kind::Error) => "ErrorCode::None".to_owned(),
        (None, Kind::Text) => "Cow::Borrowed(\"\")".to_owned(),
        (None, Kind::Bytes) => "Cow::Borrowed(&[])".to_owned(),
        (None, Kind::Struct(name)) => format!("{name}::default()"),
        (Some(value), kind) => panic!("default {value} of {kind:?}"),
        (None, Kind::Records) => unreachable!("records default to null"),
    };
    if field.nullable.is_some() {
        format!("Some({plain})")
    } else {
        plain
    }
}

//! Bytes of random messages, written straight from the schema.
//!
//! This is a second reading of the schema, independent of the generated code: it interprets what
//! the generator compiles. The bytes are canonical (a tagged field only where it differs from its
//! default, tags ascending), so a codec that reads and writes them must give them back unchanged.

use crate::schema::{Field, Kind, Message, Struct};

/// Random choices out of bytes. After the last byte every choice is the smallest, so a failing
/// case shrinks towards empty messages.
pub(crate) struct Choices<'c>(pub(crate) &'c [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// Mostly a few, now and then so many that a varint takes two bytes.
    fn count(&mut self) -> usize {
        match self.byte() {
            255 => 130,
            small => usize::from(small) % 4,
        }
    }
}

/// One message in `version`, without its header.
pub(crate) fn message(message: &Message, version: i16, choices: &mut Choices<'_>) -> Vec<u8> {
    write(message, version, Some(choices))
}

/// The message in `version` that has its defaults only.
pub(crate) fn defaults(message: &Message, version: i16) -> Vec<u8> {
    write(message, version, None)
}

fn write(message: &Message, version: i16, mut source: Source<'_, '_>) -> Vec<u8> {
    let is_flexible = version >= message.flexible_from;
    let out = Vec::new();
    let mut writer = Writer {
        message,
        version,
        is_flexible,
        out,
    };
    writer.fields(message.root(), &mut source);
    writer.out
}

/// `None` as the choices writes the defaults.
type Source<'s, 'c> = Option<&'s mut Choices<'c>>;

struct Writer<'m> {
    message: &'m Message,
    version: i16,
    is_flexible: bool,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn fields(&mut self, own: &Struct, source: &mut Source<'_, '_>) {
        let present = own
            .fields
            .iter()
            .filter(|f| f.versions.contains(self.version));
        let (tagged, plain): (Vec<_>, Vec<_>) = present.partition(|f| f.tag.is_some());
        for field in plain {
            self.field(field, source);
        }
        if self.is_flexible {
            self.tags(tagged, source);
        }
    }

    fn tags(&mut self, mut tagged: Vec<&Field>, source: &mut Source<'_, '_>) {
        tagged.sort_by_key(|field| field.tag);
        let values = tagged.into_iter().filter_map(|field| {
            let value = self.apart(field, source);
            (value != self.apart(field, &mut None)).then_some((field.tag, value))
        });
        let values: Vec<_> = values.collect();
        self.varint(values.len());
        for (tag, value) in values {
            self.varint(tag.unwrap_or_default() as usize);
            self.varint(value.len());
            self.out.extend(value);
        }
    }

    /// The field's bytes on their own.
    fn apart(&self, field: &Field, source: &mut Source<'_, '_>) -> Vec<u8> {
        let mut writer = Writer {
            out: Vec::new(),
            ..*self
        };
        writer.field(field, source);
        writer.out
    }

    fn field(&mut self, field: &Field, source: &mut Source<'_, '_>) {
        let nullable = field.nullable.is_some_and(|n| n.contains(self.version));
        let is_null = match source {
            Some(choices) => nullable && choices.below(3) == 0,
            None => nullable && field.defaults_to_null(),
        };
        if field.is_array {
            let count = source.as_mut().map_or(0, |choices| choices.count());
            // Many large elements would only be slow.
            let count = if matches!(field.kind, Kind::Struct(_)) {
                count.min(3)
            } else {
                count
            };
            self.length((!is_null).then_some(count));
            for _ in 0..if is_null { 0 } else { count } {
                self.value(field, source);
            }
            return;
        }
        match (&field.kind, is_null) {
            (Kind::Text, true) => self.text_length(field, None),
            (Kind::Bytes | Kind::Records, true) => self.length(None),
            (Kind::Struct(_), _) if nullable => {
                // A byte that is an i8 in the body, a varint in a tagged field.
                let null = if field.tag.is_some() { 0 } else { 0xff };
                self.out.push(if is_null { null } else { 1 });
                if !is_null {
                    self.value(field, source);
                }
            }
            _ => self.value(field, source),
        }
    }

    fn value(&mut self, field: &Field, source: &mut Source<'_, '_>) {
        let default = field.default.as_deref().unwrap_or("0");
        macro_rules! number {
            ($type:ty) => {{
                let value = match source {
                    Some(choices) => <$type>::from_be_bytes(choices.bytes()),
                    None => default.parse().expect("a number"),
                };
                self.out.extend(value.to_be_bytes());
            }};
        }
        match &field.kind {
            Kind::Bool => {
                let value = source
                    .as_mut()
                    .map_or(default == "true", |c| c.below(2) == 1);
                self.out.push(u8::from(value));
            }
            Kind::I8 => number!(i8),
            Kind::I16 => number!(i16),
            Kind::U16 => number!(u16),
            Kind::I32 => number!(i32),
            Kind::I64 => number!(i64),
            Kind::F64 => number!(f64),
            Kind::Uuid => {
                let value = source.as_mut().map_or([0; 16], |choices| choices.bytes());
                self.out.extend(value);
            }
            Kind::Error => {
                let value = source.as_mut().map_or(0, |c| i16::from(c.byte() % 138) - 1);
                self.out.extend(value.to_be_bytes());
            }
            Kind::Text => {
                let text = source
                    .as_mut()
                    .map_or_else(String::new, |choices| text(choices));
                self.text_length(field, Some(text.len()));
                self.out.extend(text.as_bytes());
            }
            Kind::Bytes | Kind::Records => {
                let count = source.as_mut().map_or(0, |choices| choices.count());
                self.length(Some(count));
                let bytes = (0..count).map(|_| source.as_mut().map_or(0, |c| c.byte()));
                self.out.extend(bytes.collect::<Vec<_>>());
            }
            Kind::Struct(name) => self.fields(self.message.find(name), source),
        }
    }

    fn text_length(&mut self, field: &Field, length: Option<usize>) {
        if self.is_flexible && !field.is_classic {
            self.varint(length.map_or(0, |length| length + 1));
        } else {
            let length = length.map_or(-1, |length| i16::try_from(length).expect("short"));
            self.out.extend(length.to_be_bytes());
        }
    }

    fn length(&mut self, length: Option<usize>) {
        if self.is_flexible {
            self.varint(length.map_or(0, |length| length + 1));
        } else {
            let length = length.map_or(-1, |length| i32::try_from(length).expect("short"));
            self.out.extend(length.to_be_bytes());
        }
    }

    fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.out
                .push(u8::try_from(value & 0x7f | 0x80).expect("a byte"));
            value >>= 7;
        }
        self.out.push(u8::try_from(value).expect("a byte"));
    }
}

fn text(choices: &mut Choices<'_>) -> String {
    let alphabet = [
        'a',
        'Z',
        '0',
        '.',
        '_',
        '-',
        ' ',
        '\u{e9}',
        '\u{20ac}',
        '\u{1f600}',
    ];
    let count = choices.count();
    (0..count)
        .map(|_| alphabet[choices.below(alphabet.len())])
        .collect()
}

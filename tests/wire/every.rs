//! The walk over every message and version that the schema describes.

use std::{fmt, path::Path, sync::LazyLock};

use crate::{
    dispatch::{Data, Key, Subject},
    random::{self, Choices},
    schema::{self, Api, Message},
};

fn directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire/schema")
}

/// The schema of the APIs, read once.
pub(crate) static APIS: LazyLock<Vec<Api>> = LazyLock::new(|| schema::read_apis(&directory()));

/// The schema of what stands in records and in the bytes of other messages.
pub(crate) static DATA: LazyLock<Vec<schema::Data>> =
    LazyLock::new(|| schema::read_data(&directory()));

/// One version of one message.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) subject: Subject,
    pub(crate) version: i16,
    pub(crate) message: &'static Message,
}

impl Case {
    pub(crate) fn random(&self, choices: &[u8]) -> Vec<u8> {
        random::message(self.message, self.version, &mut Choices(choices))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} v{}", self.subject, self.version)
    }
}

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    let of_apis = APIS.iter().flat_map(|api| {
        let key = Key::from_code(api.key).expect("every API of the schema is in a table");
        [
            (Subject::Request(key), &api.request),
            (Subject::Response(key), &api.response),
        ]
    });
    let of_data = DATA.iter().flat_map(|data| &data.messages).map(|message| {
        let name = &message.root().name;
        let data = Data::from_name(name).unwrap_or_else(|| panic!("{name} is not dispatched"));
        (Subject::Data(data), message)
    });
    of_apis.chain(of_data).flat_map(|(subject, message)| {
        let versions = message.valid.min..=message.valid.max;
        versions.map(move |version| Case {
            subject,
            version,
            message,
        })
    })
}

//! The walk over every message and version that the schema describes.

use std::{path::Path, sync::LazyLock};

use crate::{
    dispatch::{Direction, Key},
    random::{self, Choices},
    schema::{self, Api, Message},
};

/// The schema, read once.
pub(crate) static APIS: LazyLock<Vec<Api>> = LazyLock::new(|| {
    schema::read_apis(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire/schema"))
});

/// One version of one message.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) api: Key,
    pub(crate) direction: Direction,
    pub(crate) version: i16,
    pub(crate) message: &'static Message,
}

impl Case {
    pub(crate) fn random(&self, choices: &[u8]) -> Vec<u8> {
        random::message(self.message, self.version, &mut Choices(choices))
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} v{}", self.api, self.direction, self.version)
    }
}

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    APIS.iter().flat_map(|api| {
        let key = Key::from_code(api.key).expect("every API of the schema is in a table");
        let directions = [
            (Direction::Request, &api.request),
            (Direction::Response, &api.response),
        ];
        directions
            .into_iter()
            .flat_map(move |(direction, message)| {
                let versions = message.valid.min..=message.valid.max;
                versions.map(move |version| Case {
                    api: key,
                    direction,
                    version,
                    message,
                })
            })
    })
}

//! The names of groups and of who is in them.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(Arc<str>);

            impl $name {
                /// The name as text.
                pub fn as_str(&self) -> &str {
                    &self.0
                }

                /// Whether it names nobody.
                pub fn is_empty(&self) -> bool {
                    self.0.is_empty()
                }
            }

            impl From<&str> for $name {
                fn from(name: &str) -> Self {
                    Self(name.into())
                }
            }

            impl From<String> for $name {
                fn from(name: String) -> Self {
                    Self(name.into())
                }
            }

            impl Borrow<str> for $name {
                fn borrow(&self) -> &str {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }
        )*
    };
}

names! {
    /// A group: `group.id`.
    GroupId,
    /// A member as the coordinator knows it; empty before it has a name.
    MemberId,
    /// A static member: `group.instance.id` (KIP-345).
    InstanceId,
}

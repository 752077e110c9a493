//! Enums that the database stores by name.

/// Defines an enum with the name of each variant in the database and the API. Any other name was written by a
/// later version. It is read as `Unknown`, which shows the name and is never an error.
macro_rules! named {
    (
        $(#[$attribute:meta])*
        pub enum $type:ident {
            $($(#[$doc:meta])* $variant:ident = $name:literal,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
        #[diesel(sql_type = diesel::sql_types::Text)]
        pub enum $type {
            $($(#[$doc])* $variant,)+
            /// A name that a later version wrote.
            Unknown(String),
        }

        impl $type {
            /// The names that this version knows, in the order of the documentation.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// Returns the name in the database and the API.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Unknown(name) => name,
                }
            }
        }

        impl From<String> for $type {
            fn from(name: String) -> Self {
                match name.as_str() {
                    $($name => Self::$variant,)+
                    _ => Self::Unknown(name),
                }
            }
        }

        impl From<&str> for $type {
            fn from(name: &str) -> Self {
                Self::from(name.to_owned())
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl diesel::deserialize::FromSql<diesel::sql_types::Text, diesel::pg::Pg> for $type {
            fn from_sql(bytes: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
                <String as diesel::deserialize::FromSql<diesel::sql_types::Text, diesel::pg::Pg>>::from_sql(bytes)
                    .map(Self::from)
            }
        }

        impl diesel::serialize::ToSql<diesel::sql_types::Text, diesel::pg::Pg> for $type {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>,
            ) -> diesel::serialize::Result {
                <str as diesel::serialize::ToSql<diesel::sql_types::Text, diesel::pg::Pg>>::to_sql(
                    self.as_str(),
                    out,
                )
            }
        }
    };
}
pub(crate) use named;

#[cfg(test)]
mod tests {
    named! {
        /// A colour.
        pub enum Colour {
            /// Like grass.
            Green = "green",
            /// Like the sky.
            SkyBlue = "sky_blue",
        }
    }

    #[test]
    fn name_is_read_as_it_is_written() {
        assert_eq!(Colour::NAMES, ["green", "sky_blue"]);
        for name in Colour::NAMES {
            assert_eq!(Colour::from(*name).as_str(), *name);
            assert!(!matches!(Colour::from(*name), Colour::Unknown(_)));
        }
        assert_eq!(serde_json::to_value(Colour::SkyBlue).expect("JSON"), "sky_blue");
    }

    #[test]
    fn unknown_name_is_kept_as_it_is() {
        let mauve = Colour::from("mauve");
        assert_eq!(mauve, Colour::Unknown("mauve".to_owned()));
        assert_eq!((mauve.as_str(), mauve.to_string()), ("mauve", "mauve".to_owned()));
    }
}

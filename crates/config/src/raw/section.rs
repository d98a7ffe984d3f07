//! `section!`: a section of the configuration, from one declaration of its keys.

macro_rules! section {
    (
        $(#[doc = $doc:literal])+
        $raw:ident $section:literal
        $(
            $(#[doc = $key_doc:literal])+
            $name:ident: $type:ty $(= $default:expr)?, $kind:expr $(, unset $unset:literal, example $example:literal)?;
        )*
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $raw {
            $(
                $(#[doc = $key_doc])+
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $name: Option<$type>,
            )*
        }

        impl $raw {
            $( section!(@getter $name $type $(= $default)?); )*

            pub(super) fn section() -> Section {
                let keys = vec![$(Key {
                    section: $section,
                    name: stringify!($name),
                    kind: $kind,
                    default: section!(@default $type $(= $default)?),
                    unset: section!(@text $($unset)?),
                    example: section!(@text $($example)?),
                    doc: concat!($($key_doc),+).trim_ascii(),
                }),*];
                Section { name: $section, doc: concat!($($doc),+).trim_ascii(), keys }
            }
        }
    };
    (@getter $name:ident $type:ty) => {};
    (@getter $name:ident $type:ty = $default:expr) => {
        pub(crate) fn $name(&self) -> $type {
            self.$name.clone().unwrap_or_else(|| $default)
        }
    };
    (@default $type:ty) => { None };
    (@default $type:ty = $default:expr) => {{
        let default: $type = $default;
        Some(toml_text(&default))
    }};
    (@text) => { None };
    (@text $text:literal) => { Some($text) };
}

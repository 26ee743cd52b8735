//! From the `type` and `body` of a REST message to an MSYNC content (features.md §3.4).

use bulkhead_msync::proto::KeyValue;
use bulkhead_msync::proto::key_value::{Value as Typed, ValueType};
use bulkhead_msync::proto::message_body::Content;
use bulkhead_msync::proto::message_body::content::Size;
use bulkhead_proto::records::ContentKind;
use serde_json::{Map, Value};

use super::error::RestError;
use super::message_ext::key_values;
use super::message_request::{BODY_EMPTY, refused};

/// Longest custom event, in bytes, and most extras of one (features.md §3.4).
const CUSTOM_EVENT_BYTES_MAX: usize = 32;
const CUSTOM_EXTRAS_MAX: usize = 16;

/// Checks a body against its type and builds the content that clients show. 400 `message_send_error` for a type that
/// there is not and for a required field that is missing or of the wrong type.
pub(super) fn content(kind: &str, body: &Map<String, Value>) -> Result<(ContentKind, Content), RestError> {
    let fields = Fields(body);
    let (kind, mut content) = match kind {
        "txt" => (ContentKind::Text, Content { text: Some(fields.required("msg")?), ..Content::default() }),
        "img" => (
            ContentKind::Image,
            Content {
                size: fields.size()?,
                file_length: fields.integer("file_length")?,
                ..fields.attachment("image")?
            },
        ),
        "audio" => (
            ContentKind::Voice,
            Content {
                duration: fields.integer("length")?,
                file_length: fields.integer("file_length")?,
                ..fields.attachment("audio")?
            },
        ),
        "video" => (
            ContentKind::Video,
            Content {
                duration: fields.integer("length")?,
                file_length: fields.integer("file_length")?,
                size: fields.size()?,
                ..fields.attachment("video")?
            },
        ),
        "file" => {
            fields.required("filename")?;
            let file_length = fields.integer("file_length")?;
            (ContentKind::File, Content { file_length, ..fields.attachment("file")? })
        }
        "loc" => (
            ContentKind::Location,
            Content {
                latitude: Some(fields.degrees("lat", 90.0)?),
                longitude: Some(fields.degrees("lng", 180.0)?),
                address: Some(fields.required("addr")?),
                building_name: fields.optional("buildingName")?,
                ..Content::default()
            },
        ),
        "cmd" => (
            ContentKind::Command,
            Content {
                action: Some(fields.required("action")?),
                params: fields.object("param")?.map(key_values).unwrap_or_default(),
                ..Content::default()
            },
        ),
        "custom" => (
            ContentKind::Custom,
            Content {
                custom_event: Some(fields.custom_event()?),
                custom_exts: fields.custom_extras()?,
                ..Content::default()
            },
        ),
        _ => return Err(refused("param type must be one of txt, img, audio, video, file, loc, cmd, custom")),
    };
    // The kinds have the numbers of MSYNC's Content.Type (records.proto).
    content.r#type = Some(kind.into());
    Ok((kind, content))
}

struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn required(&self, name: &str) -> Result<String, RestError> {
        match self.optional(name)? {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(missing(name)),
        }
    }

    fn optional(&self, name: &str) -> Result<Option<String>, RestError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(refused(format!("param body.{name} must be a string"))),
        }
    }

    fn number(&self, name: &str) -> Result<Option<f64>, RestError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => Ok(number.as_f64()),
            // features.md has coordinates and sizes as strings, the Java server SDK as numbers (server-sdk.md E).
            Some(Value::String(text)) => match text.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Some(number)),
                _ => Err(refused(format!("param body.{name} must be a number"))),
            },
            Some(_) => Err(refused(format!("param body.{name} must be a number"))),
        }
    }

    fn integer(&self, name: &str) -> Result<Option<i32>, RestError> {
        // `as` saturates at the ends of i32, which is what a client shows for a file of 2 GB and more.
        Ok(self.number(name)?.map(|number| number as i32))
    }

    fn degrees(&self, name: &str, max: f64) -> Result<f64, RestError> {
        let degrees = self.number(name)?.ok_or_else(|| missing(name))?;
        if (-max..=max).contains(&degrees) {
            Ok(degrees)
        } else {
            Err(refused(format!("param body.{name} must lie between -{max} and {max}")))
        }
    }

    fn object(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, RestError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(fields)),
            Some(_) => Err(refused(format!("param body.{name} must be JSONObject"))),
        }
    }

    fn size(&self) -> Result<Option<Size>, RestError> {
        let Some(fields) = self.object("size")? else { return Ok(None) };
        let fields = Fields(fields);
        Ok(Some(Size { width: fields.number("width")?, height: fields.number("height")? }))
    }

    fn attachment(&self, default_name: &str) -> Result<Content, RestError> {
        Ok(Content {
            remote_path: Some(self.required("url")?),
            secret_key: self.optional("secret")?,
            display_name: Some(self.optional("filename")?.unwrap_or_else(|| default_name.to_owned())),
            thumbnail_remote_path: self.optional("thumb")?,
            thumbnail_secret_key: self.optional("thumb_secret")?,
            ..Content::default()
        })
    }

    fn custom_event(&self) -> Result<String, RestError> {
        let event = self.required("customEvent")?;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b'.');
        if event.len() <= CUSTOM_EVENT_BYTES_MAX && event.bytes().all(legal) {
            Ok(event)
        } else {
            Err(refused("param body.customEvent must match [a-zA-Z0-9-_/\\.]{1,32}"))
        }
    }

    fn custom_extras(&self) -> Result<Vec<KeyValue>, RestError> {
        let Some(extras) = self.object("customExts")? else { return Ok(Vec::new()) };
        if extras.len() > CUSTOM_EXTRAS_MAX {
            return Err(refused(format!("param body.customExts can't exceed {CUSTOM_EXTRAS_MAX} entries")));
        }
        extras
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) => Ok(KeyValue {
                    key: Some(key.clone()),
                    r#type: Some(ValueType::String.into()),
                    value: Some(Typed::StringValue(text.clone())),
                }),
                _ => Err(refused("param body.customExts must hold strings")),
            })
            .collect()
    }
}

fn missing(name: &str) -> RestError {
    refused(format!("param body.{name} can't be empty")).with_code(BODY_EMPTY)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn built(kind: &str, body: Value) -> Content {
        content(kind, body.as_object().unwrap()).unwrap().1
    }

    fn refusal(kind: &str, body: Value) -> RestError {
        let error = content(kind, body.as_object().unwrap()).unwrap_err();
        assert_eq!((error.status.as_u16(), error.error), (400, "message_send_error"));
        error
    }

    #[test]
    fn a_text_has_no_sub_type_and_nothing_else() {
        let content = built("txt", json!({"msg": "hi"}));
        assert_eq!(content, Content { r#type: Some(0), text: Some("hi".into()), ..Content::default() });
    }

    #[test]
    fn attachments_carry_their_address_secret_name_and_measures() {
        let body = json!({
            "url": "https://f/1", "secret": "s", "filename": "f.mp4", "thumb": "https://f/2", "thumb_secret": "t",
            "length": 10, "file_length": 58103, "size": {"width": 480.0, "height": "720"}
        });
        let video = built("video", body.clone());
        assert_eq!(video.r#type, Some(ContentKind::Video.into()));
        assert_eq!(video.remote_path.as_deref(), Some("https://f/1"));
        assert_eq!(video.secret_key.as_deref(), Some("s"));
        assert_eq!(video.display_name.as_deref(), Some("f.mp4"));
        assert_eq!(video.thumbnail_remote_path.as_deref(), Some("https://f/2"));
        assert_eq!(video.thumbnail_secret_key.as_deref(), Some("t"));
        assert_eq!((video.duration, video.file_length), (Some(10), Some(58103)));
        let image = built("img", body.clone());
        assert_eq!(image.size, Some(Size { width: Some(480.0), height: Some(720.0) }));
        assert_eq!(built("audio", body.clone()).duration, Some(10));
        assert_eq!(built("file", body).r#type, Some(5));
        assert_eq!(built("img", json!({"url": "u"})).display_name.as_deref(), Some("image"));
    }

    #[test]
    fn coordinates_come_as_strings_and_as_numbers() {
        for (lat, lng) in [(json!("39.9"), json!("-116.3")), (json!(39.9), json!(-116.3))] {
            let place = built("loc", json!({"lat": lat, "lng": lng, "addr": "here"}));
            assert_eq!((place.latitude, place.longitude), (Some(39.9), Some(-116.3)));
            assert_eq!(place.address.as_deref(), Some("here"));
        }
        refusal("loc", json!({"lat": "north", "lng": 1, "addr": "here"}));
        refusal("loc", json!({"lat": 91, "lng": 1, "addr": "here"}));
    }

    #[test]
    fn commands_and_custom_messages_keep_their_extras() {
        let command = built("cmd", json!({"action": "go", "param": {"deep": {"a": 1}}}));
        assert_eq!(command.action.as_deref(), Some("go"));
        assert_eq!(command.params.len(), 1);
        let custom = built("custom", json!({"customEvent": "ev/1.a-b_c", "customExts": {"k": "v"}}));
        assert_eq!(custom.custom_event.as_deref(), Some("ev/1.a-b_c"));
        assert_eq!(custom.custom_exts[0].value, Some(Typed::StringValue("v".into())));
    }

    #[test]
    fn limits_of_custom_messages_hold_at_the_limit_and_not_one_past_it() {
        let extras = |count: usize| -> Map<String, Value> {
            (0..count).map(|n| (n.to_string(), json!("v"))).collect()
        };
        built("custom", json!({"customEvent": "e".repeat(32), "customExts": extras(16)}));
        refusal("custom", json!({"customEvent": "e".repeat(33)}));
        refusal("custom", json!({"customEvent": "no space"}));
        refusal("custom", json!({"customEvent": "e", "customExts": extras(17)}));
        refusal("custom", json!({"customEvent": "e", "customExts": {"k": 1}}));
    }

    #[test]
    fn a_missing_required_field_is_14005() {
        for (kind, body) in [
            ("txt", json!({"other": 1})),
            ("txt", json!({"msg": ""})),
            ("img", json!({"filename": "f"})),
            ("audio", json!({"filename": "f"})),
            ("video", json!({"filename": "f"})),
            ("file", json!({"url": "u"})),
            ("loc", json!({"lat": 1, "lng": 1})),
            ("cmd", json!({"param": {}})),
            ("custom", json!({"customExts": {}})),
        ] {
            assert_eq!(refusal(kind, body).code, Some(14005), "{kind}");
        }
        refusal("combine", json!({"msg": "m"}));
        refusal("txt", json!({"msg": 1}));
    }
}

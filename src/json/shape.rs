//! Shapes of VMs, for counting capacity, as JSON texts.

use super::format::SHAPE;
use super::text::{JsonError, read_as};
use super::write::{Tagged, to_lines};
use crate::capacity::Shape;

/// Reads a shape, for [`capacity`](crate::capacity::capacity).
///
/// # Errors
/// [`JsonError`] if the text is too long, names no format or another one, is not JSON, or has an
/// unknown, missing, repeated or malformed field.
pub fn read_shape(text: &str) -> Result<Shape, JsonError> {
    read_as(text, SHAPE)
}

/// Writes a shape: its size, and every value that differs from its default.
#[must_use]
pub fn write_shape(shape: &Shape) -> String {
    to_lines(&Tagged { format: SHAPE, value: shape })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Bytes, PageSize};

    #[test]
    fn the_older_words_are_read_as_well() {
        let shape = Shape::new(2, 8, Bytes::from_gib(16), PageSize::GIB_1);
        let shape = Shape { whole_cores: false, ..shape };
        for (page, cores) in
            [("page_size", "whole_cores"), ("page", "whole-cores"), ("page-size", "whole-cores")]
        {
            let text = format!(
                "{{\"format\": \"{SHAPE}\", \"cells\": 2, \"vcpus\": 8, \"memory\": \"16 GiB\", \
                 \"{page}\": \"1 GiB\", \"{cores}\": false}}"
            );
            assert_eq!(read_shape(&text).unwrap(), shape);
        }
        assert_eq!(read_shape(&write_shape(&shape)).unwrap(), shape);
    }
}

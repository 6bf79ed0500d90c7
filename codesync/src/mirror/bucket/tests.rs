//! Addresses of buckets, and how long what is in them may be cached.

use super::*;

#[test]
fn urls() {
    for (url, bucket, prefix) in [
        ("s3://code-mirror", "code-mirror", ""),
        ("s3://code/", "code", ""),
        ("s3://code.example/a/b_c/", "code.example", "a/b_c"),
    ] {
        assert_eq!(parse(url).unwrap(), (bucket.to_owned(), prefix.to_owned()), "{url}");
    }
    for url in [
        "",
        "s3:/code",
        "s3://",
        "s3://ab",
        "s3://Code",
        "s3://key:secret@code/x",
        "s3://code//x",
        "s3://code/../x",
        "s3://code/a b",
        "s3://code/x?y",
        "gs://code/x",
    ] {
        assert_eq!(parse(url).unwrap_err().kind(), Kind::Config, "{url}");
    }
}

#[test]
fn only_the_timestamp_is_short_lived() {
    let kept = |name: &str| attributes(name).get(&Attribute::CacheControl).unwrap().to_string();
    assert!(kept("rings/stable/timestamp.json").contains("max-age=60"));
    assert!(kept("rings/stable/12.snapshot.json").contains("immutable"));
    assert!(kept("objects/ab/abcd").contains("immutable"));
}

//! What a user hands in: a record with its key, value, headers and time, in whatever form he has them.

use std::borrow::Cow;

use bytes::Bytes;

use crate::types::{PartitionId, Timestamp};

/// Bytes of a key, a value or a header's value: borrowed, owned or shared.
#[derive(Clone, Debug)]
pub enum Data<'a> {
    /// Somebody else's, for as long as the record lives.
    Borrowed(&'a [u8]),
    /// The record's own.
    Owned(Vec<u8>),
    /// Counted.
    Shared(Bytes),
}

impl Data<'_> {
    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    /// The same bytes without the borrow.
    #[must_use]
    pub fn into_owned(self) -> Data<'static> {
        match self {
            Self::Borrowed(bytes) => Data::Owned(bytes.to_vec()),
            Self::Owned(bytes) => Data::Owned(bytes),
            Self::Shared(bytes) => Data::Shared(bytes),
        }
    }
}

impl PartialEq for Data<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Data<'_> {}

mod sealed {
    pub trait Sealed {}
}

/// What can be a key or a value: text and bytes of all kinds, and an `Option` of them, `None` being null.
///
/// Sealed: it is here to be used, not to be implemented.
pub trait IntoData<'a>: sealed::Sealed {
    /// The bytes, or `None` for null.
    fn into_data(self) -> Option<Data<'a>>;
}

/// Implements [`IntoData`] for one type a line: how its value becomes a [`Data`].
macro_rules! into_data {
    ($([$($generics:tt)*] $type:ty, $value:ident => $data:expr;)*) => {$(
        impl<$($generics)*> sealed::Sealed for $type {}
        impl<'a, $($generics)*> IntoData<'a> for $type where Self: 'a {
            fn into_data(self) -> Option<Data<'a>> {
                let $value = self;
                Some($data)
            }
        }
    )*};
}

into_data! {
    [] String, text => Data::Owned(text.into_bytes());
    [] Vec<u8>, bytes => Data::Owned(bytes);
    [] Bytes, bytes => Data::Shared(bytes);
    ['b] Data<'b>, data => data;
}

/// The same for what is borrowed.
macro_rules! borrow_data {
    ($([$($generics:tt)*] $type:ty, $value:ident => $data:expr;)*) => {$(
        impl<$($generics)*> sealed::Sealed for &$type {}
        impl<'a, $($generics)*> IntoData<'a> for &'a $type {
            fn into_data(self) -> Option<Data<'a>> {
                let $value = self;
                Some($data)
            }
        }
    )*};
}

borrow_data! {
    [] str, text => Data::Borrowed(text.as_bytes());
    [] String, text => Data::Borrowed(text.as_bytes());
    [] [u8], bytes => Data::Borrowed(bytes);
    [] Vec<u8>, bytes => Data::Borrowed(bytes);
    [] Bytes, bytes => Data::Borrowed(bytes);
    [const N: usize] [u8; N], bytes => Data::Borrowed(bytes);
}

impl<T: sealed::Sealed> sealed::Sealed for Option<T> {}

impl<'a, T: IntoData<'a>> IntoData<'a> for Option<T> {
    fn into_data(self) -> Option<Data<'a>> {
        self.and_then(T::into_data)
    }
}

/// A name and a value that go with a record. Names may repeat, and their order stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    name: Cow<'a, str>,
    value: Option<Data<'a>>,
}

impl<'a> Header<'a> {
    /// A header; `None` as value is null.
    #[must_use]
    pub fn new(name: impl Into<Cow<'a, str>>, value: impl IntoData<'a>) -> Self {
        Self { name: name.into(), value: value.into_data() }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value, or `None` if it is null.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_ref().map(Data::as_slice)
    }

    /// The same header without the borrow.
    #[must_use]
    pub fn into_owned(self) -> Header<'static> {
        Header { name: Cow::Owned(self.name.into_owned()), value: self.value.map(Data::into_owned) }
    }
}

/// A record to be written. Key and value are null, and the time is that of the append, until set.
///
/// ```
/// use riverbed::Record;
///
/// let record = Record::to("orders").key("customer-7").value(b"{}").header("trace", "a1");
/// assert_eq!(record.key_bytes(), Some(&b"customer-7"[..]));
/// let tombstone = Record::new().key("customer-7").value(None::<&str>);
/// assert_eq!(tombstone.value_bytes(), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record<'a> {
    topic: Option<Cow<'a, str>>,
    partition: Option<PartitionId>,
    key: Option<Data<'a>>,
    value: Option<Data<'a>>,
    headers: Vec<Header<'a>>,
    timestamp: Option<Timestamp>,
}

impl<'a> Record<'a> {
    /// A record without a topic, for a partition that is already at hand.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A record for `topic`. The name is checked when the record is sent.
    #[must_use]
    pub fn to(topic: impl Into<Cow<'a, str>>) -> Self {
        Self { topic: Some(topic.into()), ..Self::default() }
    }

    /// Sets the key, from which the partition follows.
    #[must_use]
    pub fn key(mut self, key: impl IntoData<'a>) -> Self {
        self.key = key.into_data();
        self
    }

    /// Sets the value. On a compacted topic a null value deletes its key.
    #[must_use]
    pub fn value(mut self, value: impl IntoData<'a>) -> Self {
        self.value = value.into_data();
        self
    }

    /// Adds a header behind those that are there.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'a, str>>, value: impl IntoData<'a>) -> Self {
        self.headers.push(Header::new(name, value));
        self
    }

    /// Sets the time.
    #[must_use]
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Sets the partition, whatever the key says.
    #[must_use]
    pub fn partition(mut self, partition: impl Into<PartitionId>) -> Self {
        self.partition = Some(partition.into());
        self
    }

    /// The topic it goes to, if it was made with one.
    #[must_use]
    pub fn topic_name(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// The partition, if it was set.
    #[must_use]
    pub fn partition_id(&self) -> Option<PartitionId> {
        self.partition
    }

    /// The key, or `None` if it is null.
    #[must_use]
    pub fn key_bytes(&self) -> Option<&[u8]> {
        self.key.as_ref().map(Data::as_slice)
    }

    /// The value, or `None` if it is null.
    #[must_use]
    pub fn value_bytes(&self) -> Option<&[u8]> {
        self.value.as_ref().map(Data::as_slice)
    }

    /// The headers, in order.
    #[must_use]
    pub fn headers(&self) -> &[Header<'a>] {
        &self.headers
    }

    /// The time, if it was set.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// The same record without the borrows.
    #[must_use]
    pub fn into_owned(self) -> Record<'static> {
        Record {
            topic: self.topic.map(|topic| Cow::Owned(topic.into_owned())),
            partition: self.partition,
            key: self.key.map(Data::into_owned),
            value: self.value.map(Data::into_owned),
            headers: self.headers.into_iter().map(Header::into_owned).collect(),
            timestamp: self.timestamp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_text_and_bytes_is_taken() {
        let (text, bytes, shared) = (String::from("k"), vec![b'k'], Bytes::from_static(b"k"));
        let records = [
            Record::new().key("k"),
            Record::new().key(&text),
            Record::new().key(text.clone()),
            Record::new().key(b"k"),
            Record::new().key(&bytes),
            Record::new().key(&bytes[..]),
            Record::new().key(bytes.clone()),
            Record::new().key(&shared),
            Record::new().key(shared.clone()),
            Record::new().key(Some("k")),
        ];
        for record in records {
            assert_eq!(record.key_bytes(), Some(&b"k"[..]));
            assert_eq!(record.value_bytes(), None);
            assert_eq!(record.clone().into_owned(), record);
        }
        assert_eq!(Record::new().value(None::<Vec<u8>>).value_bytes(), None);
        assert_eq!(Record::new().value("").value_bytes(), Some(&b""[..]));
    }

    #[test]
    fn headers_keep_their_order_and_may_repeat() {
        let record = Record::to("t").header("a", "1").header("b", None::<&str>).header("a", b"2");
        let seen: Vec<_> = record.headers().iter().map(|header| (header.name(), header.value())).collect();
        assert_eq!(seen, [("a", Some(&b"1"[..])), ("b", None), ("a", Some(&b"2"[..]))]);
        assert_eq!(record.topic_name(), Some("t"));
    }
}

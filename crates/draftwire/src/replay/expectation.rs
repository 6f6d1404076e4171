//! What must be there at the end, computed from the orders alone.
//!
//! Built with plain maps and never through the server's own merge code, so that the two can
//! disagree. Also owns the rule which pending order a cancellation means: the customer's latest
//! one that holds every article of the cancellation.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Number, Value, json};

use super::orders::{Line, Order};

/// Data of a customer's pending orders by id.
pub(super) type Pending = BTreeMap<String, Value>;

/// The draft as it is created: everything but its lines.
pub(super) fn head(order: &Order) -> Value {
    json!({
        "order": order.number,
        "date": order.date,
        "country": order.country,
        "lines": {},
    })
}

/// The id of the line at that place: the same article may stand twice in one order.
pub(super) fn line_id(place: usize) -> String {
    format!("line-{}", place + 1)
}

/// One line; a missing description stays missing.
pub(super) fn line(line: &Line) -> Value {
    let mut fields = Map::new();
    fields.insert("article".into(), Value::from(&*line.article));
    if !line.description.is_empty() {
        fields.insert("description".into(), Value::from(&*line.description));
    }
    fields.insert("quantity".into(), number(&line.quantity));
    fields.insert("unitPrice".into(), number(&line.unit_price));
    Value::Object(fields)
}

fn number(text: &str) -> Value {
    // The reader has refused everything that is no number.
    text.parse::<Number>().map_or(Value::Null, Value::Number)
}

/// Adds an order as it must be pending at the end.
pub(super) fn add(pending: &mut Pending, order: &Order) {
    let mut data = head(order);
    for (place, one) in order.lines.iter().enumerate() {
        data["lines"][line_id(place)] = line(one);
    }
    pending.insert(order.number.clone(), data);
}

/// The pending order that a cancellation means, if the customer has one.
pub(super) fn cancelled_by(pending: &Pending, cancellation: &Order) -> Option<String> {
    let wanted: BTreeSet<&str> = cancellation.lines.iter().map(|line| &*line.article).collect();
    let holds_all = |data: &Value| {
        let lines = data["lines"].as_object().into_iter().flat_map(Map::values);
        let held: BTreeSet<&str> = lines.filter_map(|line| line["article"].as_str()).collect();
        wanted.is_subset(&held)
    };
    let matching = pending.iter().filter(|(_, data)| holds_all(data));
    matching.max_by_key(|(id, data)| (data["date"].as_str(), *id)).map(|(id, _)| id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(number: &str, date: &str, articles: &[&str]) -> Order {
        let lines = articles.iter().map(|article| Line {
            article: (*article).to_owned(),
            description: String::new(),
            quantity: "1".into(),
            unit_price: "2.50".into(),
        });
        Order {
            number: number.into(),
            date: date.into(),
            country: "UK".into(),
            lines: lines.collect(),
        }
    }

    #[test]
    fn a_cancellation_means_the_latest_order_that_holds_its_articles() {
        let mut pending = Pending::new();
        add(&mut pending, &order("1", "2010-12-01", &["A", "B"]));
        add(&mut pending, &order("2", "2010-12-03", &["A", "A"]));
        add(&mut pending, &order("3", "2010-12-02", &["A"]));
        let cancelled = |articles: &[&str]| cancelled_by(&pending, &order("C9", "x", articles));
        assert_eq!(cancelled(&["A"]).as_deref(), Some("2"));
        assert_eq!(cancelled(&["B", "A"]).as_deref(), Some("1"));
        assert_eq!(cancelled(&["C"]), None);
        assert_eq!(pending["2"]["lines"].as_object().unwrap().len(), 2);
    }
}

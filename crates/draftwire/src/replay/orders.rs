//! Real orders from a CSV file, grouped as they were placed.
//!
//! Owns the reading of the columns named in `data/README.md` and keeps their dirt: negative
//! quantities, prices of zero, missing descriptions, the same article twice. Lines without a
//! customer belong to one customer of their own.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

/// Who lines without a customer belong to.
const NO_CUSTOMER: &str = "none";

/// The columns, in this order.
const COLUMNS: [&str; 8] = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
];

/// One line of an order, as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) article: String,
    pub(super) description: String,
    pub(super) quantity: String,
    pub(super) unit_price: String,
}

/// One order or cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) number: String,
    pub(super) date: String,
    pub(super) country: String,
    pub(super) lines: Vec<Line>,
}

impl Order {
    /// A cancellation's number begins with `C`.
    pub(super) fn is_cancellation(&self) -> bool {
        self.number.starts_with('C')
    }
}

/// A customer with his orders in the order of their placing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Customer {
    pub(super) id: String,
    pub(super) orders: Vec<Order>,
}

/// Reads the first `limit` orders of a file.
pub(super) fn read(path: &Path, limit: Option<usize>) -> Result<Vec<Customer>, String> {
    let file = File::open(path)
        .map_err(|error| format!("the orders {} can't be read: {error}", path.display()))?;
    let compressed = path.extension().is_some_and(|extension| extension == "gz");
    let reader: Box<dyn Read> =
        if compressed { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    group(reader, limit.unwrap_or(usize::MAX))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn group(reader: impl Read, limit: usize) -> Result<Vec<Customer>, String> {
    let mut customers: Vec<Customer> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut orders: HashMap<String, (usize, usize)> = HashMap::new();
    let mut reader = csv::Reader::from_reader(reader);
    let header = reader.headers().map_err(|error| error.to_string())?;
    if fields(header) != Some(COLUMNS) {
        return Err(format!("the first line must name the columns {}", COLUMNS.join(",")));
    }
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(|error| error.to_string())?;
        let [number, article, description, quantity, date, unit_price, customer, country] =
            fields(&record).ok_or_else(|| format!("line {} has not eight columns", index + 2))?;
        for (name, text) in [("Quantity", quantity), ("UnitPrice", unit_price)] {
            if serde_json::from_str::<serde_json::Number>(text).is_err() {
                return Err(format!("line {}: {name} is no number", index + 2));
            }
        }
        // The lines of an order need not stand together, so the file is read to its end.
        if !orders.contains_key(number) && orders.len() == limit {
            continue;
        }
        let line = Line {
            article: article.to_owned(),
            description: description.to_owned(),
            quantity: quantity.to_owned(),
            unit_price: unit_price.to_owned(),
        };
        let customer = if customer.is_empty() { NO_CUSTOMER } else { customer };
        let (customer, order) = *orders.entry(number.to_owned()).or_insert_with(|| {
            let place = *places.entry(customer.to_owned()).or_insert_with(|| {
                customers.push(Customer { id: customer.to_owned(), orders: Vec::new() });
                customers.len() - 1
            });
            let orders = &mut customers[place].orders;
            orders.push(Order {
                number: number.to_owned(),
                date: date.to_owned(),
                country: country.to_owned(),
                lines: Vec::new(),
            });
            (place, orders.len() - 1)
        });
        customers[customer].orders[order].lines.push(line);
    }
    if customers.is_empty() {
        return Err("there are no orders in it".into());
    }
    Ok(customers)
}

fn fields(record: &csv::StringRecord) -> Option<[&str; 8]> {
    let fields: Vec<&str> = record.iter().map(str::trim).collect();
    fields.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

    #[test]
    fn lines_are_grouped_by_order_and_customer_with_their_dirt() {
        let text = format!(
            "{HEADER}1,A,Lamp,6,2010-12-01T08:26,2.55,17,UK\n2,B,,-1,2010-12-01T08:27,0,,UK\n\
             1,A,\"Lamp, red\",1,2010-12-01T08:26,2.55,17,UK\nC3,A,Lamp,-6,2010-12-02T08:26,2.55,17,UK\n"
        );
        let customers = group(text.as_bytes(), 10).unwrap();
        let names: Vec<_> = customers.iter().map(|customer| &*customer.id).collect();
        assert_eq!(names, ["17", NO_CUSTOMER]);
        let first = &customers[0].orders;
        assert_eq!(first[0].lines.len(), 2, "the same article may stand twice");
        assert!(first[1].is_cancellation() && !first[0].is_cancellation());
        assert_eq!(customers[1].orders[0].lines[0].quantity, "-1");
        assert_eq!(group(text.as_bytes(), 1).unwrap()[0].orders[0].lines.len(), 2);
    }

    #[test]
    fn what_is_no_order_file_is_refused() {
        let broken = format!("{HEADER}1,A,Lamp,six,2010-12-01T08:26,2.55,17,UK\n");
        assert!(group(broken.as_bytes(), 1).unwrap_err().contains("line 2: Quantity"));
        assert!(group(&b"a,b\n1,2\n"[..], 1).is_err());
        assert!(group(HEADER.as_bytes(), 1).unwrap_err().contains("no orders"));
    }
}

//! Curves as SVG: lines over a logarithmic axis, from zero upwards. Nothing is left out.

use crate::works::growth::Curve;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 46.0;
const COLOURS: [&str; 3] = ["#0b6e99", "#9b9a97", "#d9730d"];
const LABELS: usize = 4;

/// The drawing.
pub fn svg(curve: &Curve) -> String {
    let points = || curve.lines.iter().flat_map(|(_, points)| points.iter().copied());
    let least = points().map(|(x, _)| x).fold(f64::INFINITY, f64::min).ln();
    let most = points().map(|(x, _)| x).fold(0.0, f64::max).ln();
    let highest = rounded(points().map(|(_, y)| y).fold(0.0, f64::max));
    let across =
        |x: f64| LEFT + (x.ln() - least) / (most - least).max(1e-9) * (WIDTH - LEFT - RIGHT);
    let up = |y: f64| HEIGHT - BOTTOM - y / highest * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#37352f\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"14\" font-weight=\"600\">{}</text>\n",
        curve.title
    );
    for step in 0..=LABELS {
        let y = highest * step as f64 / LABELS as f64;
        out += &format!(
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{1:.1}\" y2=\"{1:.1}\" stroke=\"#e3e2e0\"/>\
             <text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\">{4}</text>\n",
            WIDTH - RIGHT,
            up(y),
            LEFT - 8.0,
            up(y) + 4.0,
            number(y)
        );
    }
    if let Some((_, points)) = curve.lines.first() {
        for (x, _) in points {
            out += &format!(
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                across(*x),
                HEIGHT - BOTTOM + 18.0,
                number(*x)
            );
        }
    }
    out += &format!(
        "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#787774\">{}</text>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#787774\">{}</text>\n",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 8.0,
        curve.x,
        LEFT - 8.0,
        TOP - 10.0,
        curve.y
    );
    let mut label_at = f64::NEG_INFINITY;
    let mut ends: Vec<_> = curve.lines.iter().zip(COLOURS).collect();
    ends.sort_by(|a, b| end(&b.0.1).total_cmp(&end(&a.0.1)));
    for ((name, points), colour) in ends {
        let path: Vec<String> =
            points.iter().map(|(x, y)| format!("{:.1},{:.1}", across(*x), up(*y))).collect();
        out += &format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
            path.join(" ")
        );
        for (x, y) in points {
            let (x, y) = (across(*x), up(*y));
            out += &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>\n");
        }
        // Labels that would lie on one another move apart.
        label_at = up(end(points)).max(label_at + 16.0);
        out += &format!(
            "<text x=\"{}\" y=\"{:.1}\" fill=\"{colour}\">{name} {}</text>\n",
            WIDTH - RIGHT + 10.0,
            label_at + 4.0,
            number(end(points))
        );
    }
    out + "</svg>\n"
}

fn end(points: &[(f64, f64)]) -> f64 {
    points.last().map_or(0.0, |(_, y)| *y)
}

/// The next 1, 2, 4 or 8 of a power of ten.
fn rounded(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    steps.iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(10.0 * power)
}

/// A figure with three digits that count.
pub fn number(value: f64) -> String {
    if value >= 1_000.0 {
        let whole = format!("{value:.0}");
        let mut out = String::new();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index) % 3 == 0 {
                out.push(',');
            }
            out.push(digit);
        }
        return out;
    }
    if value.fract() == 0.0 {
        return format!("{value:.0}");
    }
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
    .trim_end_matches(".0")
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!(number(19_500.0), "19,500");
        assert_eq!(number(855.4), "855");
        assert_eq!(number(12.64), "12.6");
        assert_eq!(number(1.084), "1.08");
        assert_eq!(number(0.431), "0.431");
        assert_eq!(number(0.0), "0");
    }
}

//! Bars, drawn by hand: it is little, and a library draws none whose colours are those of the reader's page.

/// A diagram of its own scale.
pub(crate) struct Bars {
    pub(crate) title: &'static str,
    pub(crate) bars: Vec<Bar>,
}

pub(crate) struct Bar {
    pub(crate) name: &'static str,
    pub(crate) figure: f64,
    pub(crate) is_ours: bool,
}

const WIDTH: f64 = 760.0;
const MARGIN: f64 = 20.0;
/// Where bars begin, and where the longest ends: its figure is beside it.
const LEFT: f64 = 270.0;
const RIGHT: f64 = 690.0;
const TITLE: f64 = 34.0;
const ROW: f64 = 28.0;
const BAR: f64 = 18.0;

/// The background is the picture's own, so that the text can be read on any page.
const STYLE: &str = "
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; }
  .name { text-anchor: end; }
  .page { fill: #ffffff; stroke: #d1d9e0; }
  .axis { stroke: #59636e; }
  .other { fill: #9aa4af; }
  .ours { fill: #2f6fde; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .page { fill: #0d1117; stroke: #3d444d; }
    .axis { stroke: #9198a1; }
    .other { fill: #6e7681; }
    .ours { fill: #4c8dff; }
  }
";

/// One below the other.
pub(crate) fn svg(diagrams: &[Bars]) -> String {
    let mut inside = String::new();
    let mut y = MARGIN;
    for diagram in diagrams {
        inside += &drawn(diagram, y);
        y += height(diagram) + MARGIN;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" viewBox=\"0 0 {WIDTH} {y}\" role=\"img\">\n\
         <title>What each layer adds to a request</title>\n\
         <style>{STYLE}</style>\n\
         <rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n\
         {inside}</svg>\n",
        WIDTH - 1.0,
        y - 1.0,
    )
}

fn height(diagram: &Bars) -> f64 {
    TITLE + ROW * diagram.bars.len() as f64
}

fn drawn(diagram: &Bars, top: f64) -> String {
    let most = diagram
        .bars
        .iter()
        .map(|bar| bar.figure)
        .fold(0.0, f64::max);
    let mut text = format!(
        "<text class=\"title\" x=\"{LEFT}\" y=\"{}\">{}</text>\n",
        top + 14.0,
        escaped(diagram.title)
    );
    let mut y = top + TITLE;
    for Bar {
        name,
        figure,
        is_ours,
    } in &diagram.bars
    {
        // What costs less than nothing has no bar.
        let length = (RIGHT - LEFT) * (figure / most).max(0.0);
        let class = if *is_ours { "ours" } else { "other" };
        let (bar, line) = (y - BAR / 2.0, y + 4.5);
        text += &format!(
            "<text class=\"name\" x=\"{}\" y=\"{line}\">{}</text>\n\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{bar}\" width=\"{length:.1}\" height=\"{BAR}\"/>\n\
             <text x=\"{:.1}\" y=\"{line}\">{figure:.0}</text>\n",
            LEFT - 10.0,
            escaped(name),
            LEFT + length + 8.0,
        );
        y += ROW;
    }
    text += &format!(
        "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{}\" x2=\"{LEFT}\" y2=\"{}\"/>\n",
        top + TITLE - ROW / 2.0,
        y - ROW / 2.0
    );
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_figures() {
        let bar = |name, figure| Bar {
            name,
            figure,
            is_ours: false,
        };
        let bars = vec![
            bar("a & b", 100.0),
            bar("half", 50.0),
            bar("less than nothing", -1.0),
        ];
        let svg = svg(&[Bars {
            title: "a < b",
            bars,
        }]);
        let longest = RIGHT - LEFT;
        for expected in [
            format!("width=\"{longest:.1}\""),
            format!("width=\"{:.1}\"", longest / 2.0),
            "width=\"0.0\"".to_owned(),
            ">a &amp; b<".to_owned(),
            ">a &lt; b<".to_owned(),
            ">50<".to_owned(),
        ] {
            assert!(svg.contains(&expected), "{expected}: {svg}");
        }
    }
}

package main

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/png"
	"math"
	"slices"
)

// The commands, pictures: numbers become shapes that report.html draws. What is of one kind in
// them has a class there, which has its colour, for a light page and a dark one.

// A pngBuffer keeps what writing a picture takes, for the next: there are hundreds on a page.
type pngBuffer png.EncoderBuffer

func (b *pngBuffer) Get() *png.EncoderBuffer { return (*png.EncoderBuffer)(b) }
func (b *pngBuffer) Put(*png.EncoderBuffer)  {}

var pngEncoder = png.Encoder{BufferPool: new(pngBuffer)}

// pixels is a picture with a pixel for each number: the stronger the further from 0, up to
// most, and below 0 in another colour. As it is transparent it suits any page. Where it would be
// more than 40 wide or high, a pixel is the strongest of those that it stands for.
func pixels(rows [][]float32, most float32) template.URL {
	const limit = 40
	if len(rows) == 0 {
		return ""
	}
	width, height := min(limit, len(rows[0])), min(limit, len(rows))
	picture := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i, row := range rows {
		for j, v := range row {
			c := color.NRGBA{R: 60, G: 120, B: 230}
			if v < 0 {
				c = color.NRGBA{R: 230, G: 110, B: 30}
			}
			c.A = uint8(255 * min(1, math.Abs(float64(v/most))))
			x, y := j*width/len(row), i*height/len(rows)
			if c.A > picture.NRGBAAt(x, y).A {
				picture.SetNRGBA(x, y, c)
			}
		}
	}
	var data bytes.Buffer
	pngEncoder.Encode(&data, picture) // a Buffer takes everything
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(data.Bytes()))
}

// A chart is lines over steps, sizes or epochs. All places in it are in the units of the lines;
// across and down turn them into those of the drawing.
type chart struct {
	Title, Axis             string
	Top                     int // its place in report.svg; 0: it is not there
	Lines                   []series
	Levels, Marks           []signpost // heights to compare with; where something happens
	XTicks, YTicks          []signpost
	low, high, first, final float64 // at the edges
}

// A series is a line of a chart.
type series struct {
	Name   string
	Points []point
}

// A point is a value Y at X, give or take Spread.
type point struct {
	X, Y, Spread float64
	At           string // X in words, where it is no number to be shown
}

// A signpost is a named place on one of the axes.
type signpost struct {
	At   float64
	Name string
}

// newChart makes a chart of what there is to show in it; nil if that is nothing.
func newChart(c chart) *chart {
	var x, y []float64
	for i, line := range c.Lines {
		for _, p := range line.Points {
			x, y = append(x, p.X), append(y, p.Y-p.Spread, p.Y+p.Spread)
		}
		c.Lines[i].Points = thinned(line.Points, 400)
	}
	if len(x) == 0 {
		return nil
	}
	for _, level := range c.Levels {
		y = append(y, level.At)
	}
	c.first, c.final, c.low, c.high = slices.Min(x), slices.Max(x), slices.Min(y), slices.Max(y)
	if c.high == c.low {
		c.high++
	}
	outside := func(m signpost) bool { return m.At < c.first || m.At > c.final }
	c.Marks = slices.DeleteFunc(slices.Clone(c.Marks), outside)
	if c.XTicks == nil {
		c.XTicks = ticks(c.first, c.final)
	}
	c.YTicks = ticks(c.low, c.high)
	return &c
}

// Across is where x stands in report.html's drawing of a chart, which is 360 wide.
func (c *chart) Across(x float64) float64 { return between(44, 352, x, c.first, c.final) }

// Down is where y stands in it; it is 200 high.
func (c *chart) Down(y float64) float64 { return between(178, 8, y, c.low, c.high) }

// between is the place of x on a way from a to b, where low is at a and high at b.
func between(a, b, x, low, high float64) float64 {
	return tenth(a + float64((b-a)*((x-low)/max(high-low, 1e-300))))
}

// tenth is x to a tenth: nobody sees more in a drawing.
func tenth(x float64) float64 { return math.Round(10*x) / 10 }

// Band is the outline of a line's spread: there above it and back below, if it has one.
func (c *chart) Band(line series) (outline string) {
	if !slices.ContainsFunc(line.Points, func(p point) bool { return p.Spread > 0 }) {
		return ""
	}
	for _, p := range line.Points {
		outline += fmt.Sprint(c.Across(p.X), ",", c.Down(p.Y+p.Spread), " ")
	}
	for _, p := range slices.Backward(line.Points) {
		outline += fmt.Sprint(c.Across(p.X), ",", c.Down(p.Y-p.Spread), " ")
	}
	return outline
}

// thinned are some of many points that stand for all: of each part the lowest and the highest,
// and the last.
func thinned(points []point, most int) (kept []point) {
	size := 1 // of a part
	if len(points) > most {
		size = (2*len(points) + most - 1) / most
	}
	byHeight := func(a, b point) int { return cmp.Compare(a.Y, b.Y) }
	for part := range slices.Chunk(points, size) {
		low, high := slices.MinFunc(part, byHeight), slices.MaxFunc(part, byHeight)
		if low.X > high.X {
			low, high = high, low
		}
		kept = append(kept, low, high)
	}
	if n := len(points); n > 0 {
		kept = append(kept, points[n-1])
	}
	return slices.Compact(kept)
}

// ticks are about four round numbers between two.
func ticks(low, high float64) (at []signpost) {
	if low == high {
		return []signpost{{low, short(low)}}
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/4)))
	for _, factor := range []float64{5, 2} {
		if (high-low)/(factor*step) >= 3 {
			step *= factor
			break
		}
	}
	for i := range 7 {
		if v := step * (math.Ceil(low/step) + float64(i)); v <= high+step/1e6 {
			at = append(at, signpost{v, short(v)})
		}
	}
	return at
}

// short is a number in few characters.
func short(x float64) string {
	switch size := math.Abs(x); {
	case size >= 1e6:
		return fmt.Sprintf("%.3gM", x/1e6)
	case size >= 1e4:
		return fmt.Sprintf("%.0fk", x/1e3)
	case size >= 1e3:
		return fmt.Sprintf("%.0f", x)
	case size < 1e-12:
		return "0"
	}
	return fmt.Sprintf("%.3g", x)
}

// components are the first two principal components of vectors: of all directions the one in
// which they differ most, then the most of what is left. To apply XᵀX, of X with the vectors as
// its rows, to a direction again and again turns it there.
func components(vectors [][]float32) [][2]float64 {
	size := len(vectors[0])
	mean, rows := make([]float32, size), make([][]float32, len(vectors))
	for _, v := range vectors {
		AddScaled(mean, v, 1/float32(len(vectors)))
	}
	for i, v := range vectors {
		rows[i] = slices.Clone(v)
		AddScaled(rows[i], mean, -1)
	}
	points := make([][2]float64, len(rows))
	for p := range 2 {
		direction := make([]float32, size)
		direction[p%size] = 1
		for range 60 {
			turned := make([]float32, size)
			for _, row := range rows {
				AddScaled(turned, row, kernels.dot(row, direction))
			}
			kernels.scale(turned, 1/max(norm(turned), 1e-30))
			direction = turned
		}
		for i, row := range rows {
			along := kernels.dot(row, direction)
			points[i][p] = float64(along)
			AddScaled(row, direction, -along) // what is left
		}
	}
	return points
}

// norm is the length of a vector.
func norm(v []float32) float32 { return float32(math.Sqrt(float64(kernels.dot(v, v)))) }

// A dot is a word on a map.
type dot struct {
	X, Y      float64
	Name, Tip string
	Label     bool // there is room for the name beside it
}

// mapOf places words, the commonest first, at points, in a drawing of 720 by 460; tips is what is
// said of each, if anything. A name is written where it does not cover another one.
func mapOf(words, tips []string, points [][2]float64) (dots []dot) {
	const width, height, margin = 720, 460, 46
	var x, y []float64
	for _, p := range points {
		x, y = append(x, p[0]), append(y, p[1])
	}
	var taken []image.Rectangle
	for i, word := range words {
		d := dot{Name: word, Tip: word}
		if i < len(tips) {
			d.Tip = tips[i]
		}
		d.X = between(margin, width-margin, x[i], slices.Min(x), slices.Max(x))
		d.Y = between(margin, height-margin, y[i], slices.Min(y), slices.Max(y))
		dots, taken = append(dots, d), append(taken, image.Rect(int(d.X)-3, int(d.Y)-3, int(d.X)+3, int(d.Y)+3))
	}
	for i, d := range dots {
		half := 2 + 7*len([]rune(d.Name))/2
		box := image.Rect(int(d.X)-half, int(d.Y)-17, int(d.X)+half, int(d.Y)-4)
		if half < margin && !slices.ContainsFunc(taken, box.Overlaps) {
			dots[i].Label, taken = true, append(taken, box)
		}
	}
	return dots
}

// neighbours says to which words' vectors that of word i is nearest, by the angle between them.
func neighbours(words []string, vectors [][]float32, i int) string {
	cosines := make([]float32, len(vectors))
	for j, v := range vectors {
		cosines[j] = kernels.dot(vectors[i], v) / max(norm(vectors[i])*norm(v), 1e-30)
	}
	cosines[i] = -2 // less than any: it is no neighbour of its own
	text := words[i] + " is nearest to"
	for _, j := range greatest(cosines, min(5, len(words)-1)) {
		text += fmt.Sprintf(" %s (%.2f)", words[j], cosines[j])
	}
	return text
}

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
	"strconv"
	"strings"
)

// The commands, pictures: numbers become shapes that report.html draws. What is of one kind in
// them has a class there, which has its colour, for a light page and a dark one.

// pngBuffer keeps what writing a picture takes, for the next: there are hundreds on a page.
var pngBuffer onePNGBuffer

type onePNGBuffer struct{ buffer *png.EncoderBuffer }

func (b *onePNGBuffer) Get() *png.EncoderBuffer  { return b.buffer }
func (b *onePNGBuffer) Put(e *png.EncoderBuffer) { b.buffer = e }

// pixels is a picture with a pixel for each number: the stronger the further from 0, up to
// most, and below 0 in another colour. As it is transparent it suits any page.
func pixels(rows [][]float32, most float32) template.URL {
	if len(rows) == 0 {
		return ""
	}
	picture := image.NewNRGBA(image.Rect(0, 0, len(rows[0]), len(rows)))
	for y, row := range rows {
		for x, v := range row {
			c := color.NRGBA{R: 60, G: 120, B: 230}
			if v < 0 {
				c = color.NRGBA{R: 230, G: 110, B: 30}
			}
			c.A = uint8(255 * min(1, math.Abs(float64(v/most))))
			picture.SetNRGBA(x, y, c)
		}
	}
	var data bytes.Buffer
	encoder := png.Encoder{BufferPool: &pngBuffer}
	encoder.Encode(&data, picture) // a Buffer takes everything
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(data.Bytes()))
}

// shrunk is a square of numbers, at most limit wide: each is the greatest of those that it
// stands for.
func shrunk(square [][]float32, limit int) [][]float32 {
	n := len(square)
	size := min(n, limit)
	small := make([][]float32, size)
	for i := range small {
		small[i] = make([]float32, size)
	}
	for i, row := range square {
		for j, v := range row {
			at := &small[i*size/n][j*size/n]
			*at = max(*at, v)
		}
	}
	return small
}

// A series is a line of a chart: y over x and, where there is one, the spread around it.
type series struct {
	Name         string
	x, y, spread []float64
	names        []string // of the places on the axis, where x are not numbers to be shown
}

// A signpost is a place in a chart: of a level, a height, otherwise a place on the axis.
type signpost struct {
	At   float64 // in the drawing, once it is drawn
	Name string
}

// A chart is lines over steps, sizes or epochs, as they are drawn.
type chart struct {
	Title, Axis      string
	Lines            []drawnLine
	Levels, Marks    []signpost // what to compare with; where something happens
	XTicks, YTicks   []signpost
	left, top        float64
	low, high, x0, x float64 // the values at the edges
}

// A drawnLine is a series in the drawing.
type drawnLine struct {
	Name, Points, Band string
	Dots               []dot
}

// A dot is a point that tells its values.
type dot struct {
	X, Y      float64
	Name, Tip string
	Label     bool // there is room for the name beside it
}

// The drawing of a chart, in units of about a pixel: its size, and that of what is around it.
const (
	chartWidth, chartHeight             = 360, 200
	chartLeft, chartBottom, chartMargin = 44, 22, 8
)

// newChart draws lines; levels and marks are in their units. Lines of many points are thinned.
func newChart(title, axis string, lines []series, levels, marks []signpost) *chart {
	c := &chart{Title: title, Axis: axis, low: math.Inf(1), high: math.Inf(-1), x0: math.Inf(1), x: math.Inf(-1)}
	for _, s := range lines {
		for i, y := range s.y {
			spread := 0.0
			if s.spread != nil {
				spread = s.spread[i]
			}
			c.low, c.high = min(c.low, y-spread), max(c.high, y+spread)
			c.x0, c.x = min(c.x0, s.x[i]), max(c.x, s.x[i])
		}
	}
	if c.x < c.x0 {
		return nil // there is no point
	}
	for _, l := range levels {
		c.low, c.high = min(c.low, l.At), max(c.high, l.At)
		c.Levels = append(c.Levels, l)
	}
	if c.high == c.low {
		c.high++
	}
	for _, s := range lines {
		c.Lines = append(c.Lines, c.draw(s))
	}
	for i := range c.Levels {
		c.Levels[i].At = c.down(c.Levels[i].At)
	}
	for _, m := range marks {
		if m.At >= c.x0 && m.At <= c.x {
			c.Marks = append(c.Marks, signpost{c.across(m.At), m.Name})
		}
	}
	for _, v := range ticks(c.low, c.high) {
		c.YTicks = append(c.YTicks, signpost{c.down(v), short(v)})
	}
	for _, v := range ticks(c.x0, c.x) {
		if lines[0].names == nil {
			c.XTicks = append(c.XTicks, signpost{c.across(v), short(v)})
		}
	}
	for i, name := range lines[0].names {
		c.XTicks = append(c.XTicks, signpost{c.across(lines[0].x[i]), name})
	}
	return c
}

// across and down are where values stand in the drawing, to a tenth.
func (c *chart) across(x float64) float64 {
	return tenth(chartLeft + float64((chartWidth-chartLeft-chartMargin)*((x-c.x0)/max(c.x-c.x0, 1e-300))))
}

func (c *chart) down(y float64) float64 {
	return tenth(chartMargin + float64((chartHeight-chartBottom-chartMargin)*((c.high-y)/(c.high-c.low))))
}

func tenth(x float64) float64 { return math.Round(10*x) / 10 }

// draw draws a line, with dots if they are few.
func (c *chart) draw(s series) drawnLine {
	const few, most = 60, 400
	line := drawnLine{Name: s.Name}
	var points, above, below []string
	for _, i := range thinned(s.y, most) {
		x, y := c.across(s.x[i]), c.down(s.y[i])
		points = append(points, fmt.Sprint(x, ",", y))
		at := short(s.x[i])
		if s.names != nil {
			at = s.names[i]
		}
		tip := fmt.Sprintf("%s: %s, %s %s", s.Name, short(s.y[i]), c.Axis, at)
		if s.spread != nil {
			above = append(above, fmt.Sprint(x, ",", c.down(s.y[i]+s.spread[i])))
			below = append(below, fmt.Sprint(x, ",", c.down(s.y[i]-s.spread[i])))
			tip += " ± " + short(s.spread[i])
		}
		if len(s.y) <= few {
			line.Dots = append(line.Dots, dot{X: x, Y: y, Tip: tip})
		}
	}
	slices.Reverse(below)
	line.Points, line.Band = strings.Join(points, " "), strings.Join(append(above, below...), " ")
	return line
}

// thinned are which of many points stand for all: of each part the lowest and the highest.
func thinned(y []float64, most int) (kept []int) {
	parts := most / 2
	if len(y) <= most {
		parts = len(y)
	}
	for p := range parts {
		low := p * len(y) / parts
		high := low
		for i := low; i < (p+1)*len(y)/parts; i++ {
			if y[i] < y[low] {
				low = i
			}
			if y[i] > y[high] {
				high = i
			}
		}
		kept = append(kept, min(low, high), max(low, high))
	}
	return slices.Compact(kept)
}

// ticks are about four round numbers between two.
func ticks(low, high float64) (at []float64) {
	if !(high > low) {
		return []float64{low}
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/4)))
	for _, factor := range []float64{5, 2, 1} {
		if (high-low)/(factor*step) >= 3 {
			step *= factor
			break
		}
	}
	for i := range 7 {
		if v := step * (math.Ceil(low/step) + float64(i)); v <= high+step/1e6 {
			at = append(at, v)
		}
	}
	return at
}

// short is a number in few characters.
func short(x float64) string {
	switch size := math.Abs(x); {
	case size >= 1e6:
		return strconv.FormatFloat(x/1e6, 'g', 3, 64) + "M"
	case size >= 1e4:
		return strconv.FormatFloat(x/1e3, 'f', 0, 64) + "k"
	case size >= 1e3:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case size < 1e-12:
		return "0"
	}
	return strconv.FormatFloat(x, 'g', 3, 64)
}

// components are the first two principal components of vectors: of all directions the one in
// which they differ most, then the most of what is left; each found by applying their
// covariance to a direction again and again, which turns it there.
func components(vectors [][]float32) (points [][2]float64) {
	points = make([][2]float64, len(vectors))
	size := len(vectors[0])
	mean := make([]float64, size)
	for _, v := range vectors {
		for k, x := range v {
			mean[k] += float64(x) / float64(len(vectors))
		}
	}
	rows := make([][]float64, len(vectors)) // around their mean
	for i, v := range vectors {
		for k, x := range v {
			rows[i] = append(rows[i], float64(x)-mean[k])
		}
	}
	for p := range 2 {
		direction := make([]float64, size)
		direction[p%size] = 1
		for range 60 {
			next := make([]float64, size)
			for _, row := range rows {
				along := product64(row, direction)
				for k, x := range row {
					next[k] += float64(along * x)
				}
			}
			length := max(math.Sqrt(product64(next, next)), 1e-300)
			for k := range next {
				direction[k] = next[k] / length
			}
		}
		for i, row := range rows {
			points[i][p] = product64(row, direction)
			for k := range row {
				row[k] -= float64(points[i][p] * direction[k])
			}
		}
	}
	return points
}

// product64 is Σ a·b.
func product64(a, b []float64) (sum float64) {
	for i, x := range a {
		sum += float64(x * b[i])
	}
	return sum
}

// The drawing of a map of words.
const mapWidth, mapHeight, mapMargin = 720, 460, 46

// mapOf places words, the commonest first, at points. A name is written where it does not
// cover another one.
func mapOf(words []string, points [][2]float64, tips []string) (dots []dot) {
	low, high := points[0], points[0]
	for _, p := range points {
		for k, x := range p {
			low[k], high[k] = min(low[k], x), max(high[k], x)
		}
	}
	place := func(p [2]float64, k int, size float64) float64 {
		return tenth(mapMargin + float64((size-2*mapMargin)*((p[k]-low[k])/max(high[k]-low[k], 1e-300))))
	}
	var taken []image.Rectangle
	for i, word := range words {
		d := dot{X: place(points[i], 0, mapWidth), Y: place(points[i], 1, mapHeight), Name: word, Tip: tips[i]}
		dots, taken = append(dots, d), append(taken, image.Rect(int(d.X)-3, int(d.Y)-3, int(d.X)+3, int(d.Y)+3))
	}
	for i := range dots {
		d := &dots[i]
		half := 2 + 7*len([]rune(d.Name))/2
		box := image.Rect(int(d.X)-half, int(d.Y)-17, int(d.X)+half, int(d.Y)-4)
		if d.Label = half < mapMargin && !slices.ContainsFunc(taken, box.Overlaps); d.Label {
			taken = append(taken, box)
		}
	}
	return dots
}

// A bar is a name and a share of 1.
type bar struct {
	Name  string
	Share float64
	Right bool   // the right answer
	Value string // the share, or what it stands for
}

// percent is a share in words.
func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

// nearest are the n words whose vectors point most nearly where that of word i does.
func nearest(words []string, vectors [][]float32, i, n int) string {
	type near struct {
		word string
		cos  float32
	}
	length := func(v []float32) float32 { return float32(math.Sqrt(float64(kernels.dot(v, v)))) }
	var all []near
	for j, v := range vectors {
		if j != i {
			all = append(all, near{words[j], kernels.dot(vectors[i], v) / max(length(vectors[i])*length(v), 1e-30)})
		}
	}
	slices.SortFunc(all, func(a, b near) int { return cmp.Or(cmp.Compare(b.cos, a.cos), cmp.Compare(a.word, b.word)) })
	text := words[i] + " is nearest to"
	for _, near := range all[:min(n, len(all))] {
		text += fmt.Sprintf(" %s (%.2f)", near.word, near.cos)
	}
	return text
}

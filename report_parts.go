package main

import (
	"fmt"
	"html/template"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// The commands, what is on the page: its parts in the order in which they stand there, each with
// what makes it, from the model, from metrics.jsonl and from report.json.

// The input: figure 2 of the paper, with strips of colour for the vectors.

// vectorNames are the names of Embeddings.Vectors.
var vectorNames = [5]string{"token", "+ segment", "+ position", "= sum", "normalised"}

// A strip is the first numbers of a vector, as colours and, fewer, in digits.
type strip struct {
	Picture template.URL
	Numbers string
}

// Strips are, for each token, vector k.
func (l *look) Strips(k int) (strips []strip) {
	var most float32 // each k has its own scale
	for _, vectors := range l.Vectors {
		for _, x := range vectors[k] {
			most = max(most, x, -x)
		}
	}
	for _, vectors := range l.Vectors {
		column := slices.Collect(slices.Chunk(vectors[k], 1))
		strips = append(strips, strip{pixels(column, most), numbersOf(vectors[k])})
	}
	return strips
}

// numbersOf are the first numbers of a vector, as explain shows them.
func numbersOf(v []float32) string {
	return strings.Trim(fmt.Sprintf("%.3f", v[:min(6, len(v))]), "[]") + " …"
}

// Token is a token by its id.
func (r *reporter) Token(id int32) string {
	if int(id) >= len(r.t.Vocabulary) {
		return fmt.Sprintf("(%d)", id) // there are fewer words than the model has room for
	}
	return r.t.Vocabulary[id]
}

// The task: examples, and what the model guesses.

// An example is a case, with its tokens and the guesses in words.
type example struct {
	*Case
	Text    []shownToken
	Guesses []bars
}

// A shownToken is a token and what was done to it: masked, replaced or kept. In a passage it has
// the probabilities that the answer begins and that it ends there.
type shownToken struct {
	Text, Kind string
	Number     int // of the guess that is about it, from 1
	Shares     []float64
}

// Bars are the best answers to a question, or the parts of something.
type bars struct {
	Title string
	Bars  []bar
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

// Text is the tokens of a case. The labels of pre-training are what was there before
// some were hidden.
func (r *reporter) Text(c *Case) (tokens []shownToken) {
	for _, id := range c.Tokens {
		tokens = append(tokens, shownToken{Text: r.Token(id)})
	}
	for i, at := range c.Targets {
		tokens[at].Number = i + 1
		if r.m.Config.Task() == preTraining && i < len(c.Labels) {
			tokens[at].Kind = "replaced"
			if c.Tokens[at] == c.Labels[i] {
				tokens[at].Kind = "kept"
			}
		}
	}
	for i, id := range c.Tokens {
		if id == r.t.mask {
			tokens[i].Kind = "masked"
		}
	}
	return tokens
}

// Examples are the cases with what the model guesses.
func (r *reporter) Examples() (shown []example) {
	for i := range r.Cases {
		e := example{Case: &r.Cases[i]}
		e.Text = r.Text(e.Case)
		switch r.m.Config.Task() {
		case preTraining:
			r.guessHidden(&e)
		case answering:
			r.guessAnswer(&e)
		default:
			r.guessLabels(&e)
		}
		shown = append(shown, e)
	}
	return shown
}

// guess adds the n best answers to a question, and the right one, label i, if that is known.
func (e *example) guess(question string, shares []float32, n, i int, name func(id int32) string) {
	best, right := greatest(shares, n), -1
	if i < len(e.Labels) {
		right = int(e.Labels[i])
	}
	if right >= 0 && right < len(shares) && !slices.Contains(best, right) {
		best = append(best, right)
	}
	answers := bars{Title: question}
	for _, id := range best {
		share := float64(shares[id])
		answers.Bars = append(answers.Bars, bar{name(int32(id)), share, id == right, percent(share)})
	}
	e.Guesses = append(e.Guesses, answers)
}

// guessHidden guesses the hidden tokens, and whether B follows A.
func (r *reporter) guessHidden(e *example) {
	b := BatchOf(e.Tokens, e.Segments)
	b.Targets = e.Targets
	r.m.NoDropout()
	mlm, nsp := r.m.Forward(b)
	size := r.m.Config.VocabSize
	for i := range e.Targets {
		e.guess(fmt.Sprintf("Token %d", i+1), Softmax(mlm[i*size:][:size], 1), 5, i, r.Token)
	}
	if slices.Contains(e.Segments, 1) {
		kind := func(id int32) string { return [2]string{"IsNext", "NotNext"}[id] }
		e.guess("Does B follow A?", Softmax(nsp, 1), 2, len(e.Targets), kind)
	}
}

// guessLabels guesses the label of a sentence or of each of its words, or its numbers.
func (r *reporter) guessLabels(e *example) {
	names, logits := r.m.Config.Labels(), r.m.LogitsOf([]Case{*e.Case})[0]
	name := func(id int32) string { return names[id] }
	switch task := r.m.Config.Task(); task {
	case tagging:
		for i, at := range e.Targets {
			row := logits[i*len(names):][:len(names)]
			e.guess(fmt.Sprintf("%d: %s", i+1, r.Token(e.Tokens[at])), Softmax(row, 1), 2, i, name)
		}
	case oneLabel:
		e.guess("Its label", Softmax(logits, 1), 5, 0, name)
	default:
		given := bars{Title: "Given, and what is right in brackets"}
		for i, x := range logits {
			b := bar{Name: names[i]}
			if task == severalLabels {
				x = logistic(x)
				b.Share = float64(x)
			}
			if b.Value = fmt.Sprintf("%.2f", x); i < len(e.Values) {
				b.Value += fmt.Sprintf(" (%.2f)", e.Values[i])
			}
			given.Bars = append(given.Bars, b)
		}
		e.Guesses = []bars{given}
	}
}

// guessAnswer guesses where in a passage an answer begins and ends.
func (r *reporter) guessAnswer(e *example) {
	logits := r.m.LogitsOf([]Case{*e.Case})[0] // (T, 2)
	place := func(at int32) string { return fmt.Sprintf("%s (token %d)", r.Token(e.Tokens[at]), at) }
	for k, what := range []string{"It begins with", "It ends with"} {
		shares := make([]float32, len(e.Tokens))
		for i := range shares {
			shares[i] = logits[2*i+k]
		}
		for i, share := range Softmax(shares, 1) {
			e.Text[i].Shares = append(e.Text[i].Shares, float64(share))
		}
		e.guess(what, shares, 3, k, place)
	}
}

// Learning: what metrics.jsonl has.

// Charts are drawn of those columns that there are.
func (r *reporter) Charts() (charts []*chart) {
	h := r.History
	byFrequency := h.level("unigram_loss", 1, "by how common each word is")
	alike := signpost{ln(float64(r.m.Config.VocabSize)), "all words alike"}
	for _, c := range []struct {
		title, column string
		scale         float64
		top           int
		levels        []signpost
	}{
		{"MLM: loss", "mlm_loss", 1, 0, append(byFrequency, alike)},
		{"MLM: right, in %", "mlm_accuracy", 100, 30, h.level("unigram_accuracy", 100, "always the commonest word")},
		{"NSP: loss", "nsp_loss", 1, 0, []signpost{{math.Ln2, "a coin"}}},
		{"NSP: right, in %", "nsp_accuracy", 100, 250, []signpost{{50, "a coin"}}},
		{"Learning rate, in thousandths", "learning_rate", 1000, 0, nil},
		{"Norm of the gradient", "gradient_norm", 1, 0, nil},
		{"Loss", "loss", 1, 0, nil},
		{"Score, in %", "score", 100, 0, nil},
	} {
		drawn := newChart(chart{Title: c.title, Axis: h.unit(), Top: c.top, Levels: c.levels, Marks: r.marks(), Lines: []series{
			h.line("in training", "train", c.column, c.scale),
			h.line("held out", "heldout", c.column, c.scale),
		}})
		if drawn != nil {
			charts = append(charts, drawn)
		}
	}
	return charts
}

// marks are the steps at which something happened.
func (r *reporter) marks() (marks []signpost) {
	if s := r.Settings; s != nil && s.ShortSteps() > 0 && s.ShortSteps() < s.Steps {
		marks = append(marks, signpost{float64(s.ShortSteps()), "from here longer sequences"})
	}
	nsp := r.History.line("", "heldout", "nsp_accuracy", 1).Points
	if i := slices.IndexFunc(nsp, func(p point) bool { return inItsPlace(p.Y) }); i >= 0 {
		marks = append(marks, signpost{nsp[i].X, "NSP falls into place"})
	}
	return marks
}

// inItsPlace tells whether next sentence prediction is clearly better than a coin.
func inItsPlace(accuracy float64) bool { return accuracy > 0.65 }

// line is a column over the steps, if each report has it.
func (h history) line(name, split, column string, scale float64) series {
	line := series{Name: name}
	steps, values := h[split+" step"], h[split+" "+column]
	if len(steps) == len(values) {
		for i, y := range values {
			line.Points = append(line.Points, point{X: steps[i], Y: scale * y})
		}
	}
	return line
}

// level is the last held-out value of what needs no model.
func (h history) level(column string, scale float64, name string) []signpost {
	if y, ok := h.last("heldout " + column); ok {
		return []signpost{{scale * y, name}}
	}
	return nil
}

// Reports is a table of at most 20 reports of what is held out, evenly apart, under their names.
func (h history) Reports() (table [][]string) {
	steps := h["heldout step"]
	if len(steps) == 0 {
		return nil
	}
	missing := func(column string) bool { return len(h["heldout "+column]) != len(steps) }
	names := []string{"step", "mlm_loss", "mlm_accuracy", "nsp_loss", "nsp_accuracy", "score"}
	names = slices.DeleteFunc(names, missing)
	table = append(table, names)
	rows := min(len(steps), 20)
	for i := range rows {
		var row []string
		for _, name := range names {
			at := i * (len(steps) - 1) / max(rows-1, 1) // from the first to the last
			row = append(row, fmt.Sprintf("%.4g", h["heldout "+name][at]))
		}
		table = append(table, row)
	}
	return table
}

// Bars are the best guesses of one moment.
func (m moment) Bars() (all []bar) {
	for _, guess := range m.Best {
		share := float64(guess.Probability)
		all = append(all, bar{Name: guess.Token, Share: share, Value: percent(share)})
	}
	return all
}

// Attention.

// An attentionView is what all heads of all layers make of the pair.
type attentionView struct {
	Layers [][]headView
	Kept   int // weights of a token that the lines have, of as many as there are tokens; 0: all
	Data   attentionData
}

type headView struct {
	Layer, Head, Number int // Number counts all heads
	Picture             template.URL
	Habits              habits
}

// attentionData is what the page's script draws lines of: for each head and token other tokens
// and their shares in thousandths.
type attentionData struct {
	Tokens   []string  `json:"tokens"`
	Segments []int32   `json:"segments"`
	Heads    [][][]int `json:"heads"`
}

func (r *reporter) Attention() *attentionView {
	const pictureSize, weights = 40, 150_000 // what a page of a few megabytes has room for
	r.m.EncodeOne(r.Pair.Tokens, r.Pair.Segments)
	n, heads := len(r.Pair.Tokens), r.m.Config.NumAttentionHeads
	v := &attentionView{Data: attentionData{Segments: r.Pair.Segments}}
	for _, id := range r.Pair.Tokens {
		v.Data.Tokens = append(v.Data.Tokens, r.Token(id))
	}
	keep := max(4, weights/(n*heads*len(r.m.encoder)))
	if keep < n {
		v.Kept = keep
	}
	for i, layer := range r.m.encoder {
		var row []headView
		for head := 1; head <= heads; head++ {
			var square [][]float32 // (T, T)
			var lines [][]int
			for token := range n {
				shares := layer.attention.Weights(token, head)
				square, lines = append(square, shares), append(lines, strongest(shares, keep))
			}
			row = append(row, headView{
				Layer: i + 1, Head: head, Number: len(v.Data.Heads),
				Picture: pixels(shrunk(square, pictureSize), 0.6),
				Habits:  habitsOf(layer.attention, head, r.Pair.Tokens, r.t.sep),
			})
			v.Data.Heads = append(v.Data.Heads, lines)
		}
		v.Layers = append(v.Layers, row)
	}
	return v
}

// strongest are at most n tokens with the greatest shares, and those in thousandths, by turns.
func strongest(shares []float32, n int) []int {
	line := []int{}
	for _, j := range descending(shares)[:min(n, len(shares))] {
		if thousandths := int(float32(1000*shares[j]) + 0.5); thousandths > 0 {
			line = append(line, j, thousandths)
		}
	}
	return line
}

// habits are where a head looks, on average over the tokens, as shares: at the token before, at
// the token itself, at the one after, else at a [SEP], else anywhere.
type habits [5]float64

var habitNames = [5]string{"the token before", "itself", "the token after", "[SEP]", "others"}

// habitsOf are those of a head, counted from 1, in the sequence that attention has seen last.
func habitsOf(a *Attention, head int, tokens []int32, sep int32) (h habits) {
	for i := range tokens {
		for j, share := range a.Weights(i, head) {
			to := j - i + 1
			switch {
			case to >= 0 && to <= 2:
			case tokens[j] == sep:
				to = 3
			default:
				to = 4
			}
			h[to] += float64(share) / float64(len(tokens))
		}
	}
	return h
}

// String says what a head does, in short where that is clear.
func (h habits) String() string {
	var all []string
	for k, share := range h {
		if share >= 0.5 && k < 4 {
			return fmt.Sprintf("looks mostly at %s (%.0f%%)", habitNames[k], 100*share)
		}
		all = append(all, fmt.Sprintf("%s %.0f%%", habitNames[k], 100*share))
	}
	return "looks here and there: " + strings.Join(all, ", ")
}

// What the words have become: their vectors, in the two directions in which they differ most.

// Map is a map of the commonest words. Those who point at one are told its neighbours, if the
// model still has its vectors.
func (r *reporter) Map(l *look) []dot {
	words := make([]string, len(r.Words))
	for i, id := range r.Words {
		words[i] = r.Token(id)
	}
	tips := slices.Clone(words)
	if l == r.Now {
		vectors := wordVectors(r.m, r.Words)
		for i := range words {
			tips[i] = nearest(words, vectors, i)
		}
	}
	return mapOf(words, l.Points, tips)
}

// Transfer: what pre-training is worth, over how many sentences have labels.

// StudyChart is a line for each way to get a model.
func (p *pastRun) StudyChart() *chart {
	rows := p.Study
	c := chart{Title: "Right, in %", Axis: "labels a class"}
	for i, row := range rows { // evenly apart, however many labels there are
		c.XTicks = append(c.XTicks, signpost{float64(i), row.Size()})
	}
	for _, way := range ways {
		line := series{Name: way}
		for i, row := range rows {
			score := row.Score[way]
			line.Points = append(line.Points, point{float64(i), 100 * score.Mean, 100 * score.Spread, row.Size()})
		}
		c.Lines = append(c.Lines, line)
	}
	return newChart(c)
}

// How it was made.

// partSizes are how many parameters the embeddings have, the layers, and what is on top.
func partSizes(m *Model) (sizes [3]int) {
	for i, p := range m.List {
		part := 2
		if strings.HasPrefix(p.Name, "bert.embeddings.") {
			part = 0
		} else if i < m.encoderParams {
			part = 1
		}
		sizes[part] += p.Size()
	}
	return sizes
}

// Parts are those sizes as bars.
func (r *reporter) Parts() (parts []bar) {
	sizes := partSizes(r.m)
	for i, name := range []string{"embeddings", "layers", "heads on top"} {
		share := ratio(float64(sizes[i]), len(r.m.Value))
		parts = append(parts, bar{Name: name, Share: share, Value: fmt.Sprintf("%d (%.0f%%)", sizes[i], 100*share)})
	}
	return parts
}

var capitals = regexp.MustCompile("[A-Z]")

// Made is a table of the model's and the training's settings.
func (r *reporter) Made() (table [][2]string) {
	add := func(name, format string, args ...any) {
		table = append(table, [2]string{name, fmt.Sprintf(format, args...)})
	}
	c := &r.m.Config
	add("model", "%s: %d layers, %d heads, hidden size %d, intermediate size %d, %d words, %d positions", c.Architecture(),
		c.NumHiddenLayers, c.NumAttentionHeads, c.HiddenSize, c.IntermediateSize, c.VocabSize, c.MaxPositionEmbeddings)
	add("parameters", "%d", len(r.m.Value))
	if tokens, ok := r.History.last("train tokens"); ok {
		add("tokens", "%.0f", tokens)
	}
	if speeds := slices.Sorted(slices.Values(r.History["train tokens_per_second"])); len(speeds) > 0 {
		add("tokens a second", "%.0f (the median)", speeds[len(speeds)/2])
	}
	if r.Kernels != "" {
		add("computed by", "%s, %d workers", r.Kernels, r.Workers)
	}
	if r.Settings != nil {
		v := reflect.ValueOf(*r.Settings)
		for i := range v.NumField() {
			words := capitals.ReplaceAllString(v.Type().Field(i).Name, " $0")
			add(strings.ToLower(words[1:]), "%v", v.Field(i))
		}
	}
	return table
}

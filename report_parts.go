package main

import (
	"fmt"
	"html/template"
	"math"
	"slices"
)

// The commands, what is on the page: its parts in the order in which they stand there, each with
// what makes it, from the model, from metrics.jsonl and from report.json.

// 1 and 2, the input: figure 2 of the paper, with strips of colour for the vectors.

// An inputTable has a column for each token, and in it a strip for each of its vectors.
type inputTable struct {
	When    string
	Columns []inputColumn
}

type inputColumn struct {
	Token    string
	Segment  string
	Position int
	Strips   [5]strip
}

// A strip is the first numbers of a vector, as colours and, fewer, in digits.
type strip struct {
	Picture template.URL
	Numbers string
}

// vectorNames are the names of Embeddings.Vectors.
var vectorNames = [5]string{"token", "+ segment", "+ position", "= sum", "normalised"}

func (r *reporter) inputTable(when string, l *look) inputTable {
	table := inputTable{When: when}
	var most [5]float32 // each row has its own scale
	for _, vectors := range l.Vectors {
		for k, v := range vectors {
			for _, x := range v {
				most[k] = max(most[k], x, -x)
			}
		}
	}
	for i, vectors := range l.Vectors {
		c := inputColumn{Token: r.token(r.Pair.Tokens[i]), Segment: string('A' + rune(r.Pair.Segments[i])), Position: i}
		for k, v := range vectors {
			var column [][]float32
			for _, x := range v {
				column = append(column, []float32{x})
			}
			c.Strips[k] = strip{pixels(column, most[k]), numbersOf(v)}
		}
		table.Columns = append(table.Columns, c)
	}
	return table
}

// numbersOf are the first numbers of a vector, as explain shows them.
func numbersOf(v []float32) string {
	text := ""
	for _, x := range v[:min(6, len(v))] {
		text += fmt.Sprintf("%.3f ", x)
	}
	return text + "…"
}

// token is a token by its id.
func (r *reporter) token(id int32) string {
	if int(id) >= len(r.t.Vocabulary) {
		return fmt.Sprintf("(%d)", id) // there are fewer words than the model has room for
	}
	return r.t.Vocabulary[id]
}

// 5 (and 8), the tasks: examples, and what the model guesses.

// A shownCase is an example: its tokens, and bars for each guess.
type shownCase struct {
	Tokens  []shownToken
	Guesses []shownGuess
}

// A shownToken is a token and what was done to it: masked, replaced or kept. In a passage it has
// the probabilities that the answer begins and that it ends there.
type shownToken struct {
	Text, Kind string
	Number     int // of the guess that is about it, from 1
	Shares     []float64
}

// A shownGuess is the best answers to something.
type shownGuess struct {
	What string
	Bars []bar
}

// shownTokens are the tokens of a case; labels, where there are any, are what was there before
// some were hidden.
func (r *reporter) shownTokens(c *Case, labels []int32) (tokens []shownToken) {
	for _, id := range c.Tokens {
		tokens = append(tokens, shownToken{Text: r.token(id)})
		if id == r.t.mask {
			tokens[len(tokens)-1].Kind = "masked"
		}
	}
	for i, at := range c.Targets {
		tokens[at].Number = i + 1
		if i >= len(labels) || c.Tokens[at] == r.t.mask {
			continue
		}
		if tokens[at].Kind = "replaced"; c.Tokens[at] == labels[i] {
			tokens[at].Kind = "kept"
		}
	}
	return tokens
}

// tasks are the examples with what the model guesses.
func (r *reporter) tasks() (shown []shownCase) {
	for i := range r.Cases {
		c := &r.Cases[i]
		if task := r.m.Config.Task(); task == preTraining {
			shown = append(shown, r.preTrainingCase(c))
		} else if task == answering {
			shown = append(shown, r.answerCase(c))
		} else {
			shown = append(shown, r.labelledCase(c))
		}
	}
	return shown
}

// guess adds the n best answers to something, and the right one if it is none of these.
func (s *shownCase) guess(what string, shares []float32, n int, right int32, name func(id int32) string) {
	best := greatest(shares, n)
	if int(right) >= 0 && int(right) < len(shares) && !slices.Contains(best, int(right)) {
		best = append(best, int(right))
	}
	g := shownGuess{What: what}
	for _, id := range best {
		g.Bars = append(g.Bars, bar{name(int32(id)), float64(shares[id]), int32(id) == right, percent(float64(shares[id]))})
	}
	s.Guesses = append(s.Guesses, g)
}

// labelOf is what is right in place i of a case, or −1: nobody knows.
func labelOf(c *Case, i int) int32 {
	if i < len(c.Labels) {
		return c.Labels[i]
	}
	return -1
}

// preTrainingCase shows the hidden tokens, and whether B follows A.
func (r *reporter) preTrainingCase(c *Case) shownCase {
	var b Batch
	b.Reset()
	b.AddCase(c)
	r.m.NoDropout()
	mlm, nsp := r.m.Forward(&b)
	s, vocabulary := shownCase{Tokens: r.shownTokens(c, c.Labels)}, r.m.Config.VocabSize
	for i := range c.Targets {
		s.guess(fmt.Sprintf("Token %d", i+1), Softmax(mlm[i*vocabulary:][:vocabulary], 1), 5, labelOf(c, i), r.token)
	}
	if slices.Contains(c.Segments, 1) {
		s.guess("Does B follow A?", Softmax(nsp, 1), 2, labelOf(c, len(c.Targets)), func(id int32) string { return [2]string{"IsNext", "NotNext"}[id] })
	}
	return s
}

// labelledCase shows what label a sentence is given, or each of its words, or what number.
func (r *reporter) labelledCase(c *Case) shownCase {
	names, logits := r.m.Config.Labels(), r.m.LogitsOf([]Case{*c})[0]
	s, label := shownCase{Tokens: r.shownTokens(c, nil)}, func(id int32) string { return names[id] }
	switch task := r.m.Config.Task(); task {
	case tagging:
		for i, at := range c.Targets {
			s.guess(fmt.Sprintf("%d: %s", i+1, r.token(c.Tokens[at])), Softmax(logits[i*len(names):][:len(names)], 1), 2, labelOf(c, i), label)
		}
	case oneLabel:
		s.guess("Its label", Softmax(logits, 1), 5, labelOf(c, 0), label)
	default:
		g := shownGuess{What: "Given, and what is right in brackets"}
		for i, x := range logits {
			b := bar{Name: names[i]}
			if task == severalLabels {
				x = logistic(x)
				b.Share = float64(x)
			}
			if b.Value = fmt.Sprintf("%.2f", x); i < len(c.Values) {
				b.Value += fmt.Sprintf(" (%.2f)", c.Values[i])
			}
			g.Bars = append(g.Bars, b)
		}
		s.Guesses = []shownGuess{g}
	}
	return s
}

// answerCase shows where in a passage an answer begins and ends.
func (r *reporter) answerCase(c *Case) shownCase {
	logits, s := r.m.LogitsOf([]Case{*c})[0], shownCase{Tokens: r.shownTokens(c, nil)}
	for k, what := range []string{"It begins with", "It ends with"} {
		row := make([]float32, len(c.Tokens))
		for i := range row {
			row[i] = logits[2*i+k]
		}
		for i, p := range Softmax(row, 1) {
			s.Tokens[i].Shares = append(s.Tokens[i].Shares, float64(p))
		}
		s.guess(what, row, 3, labelOf(c, k), func(at int32) string { return fmt.Sprintf("%s (token %d)", r.token(c.Tokens[at]), at) })
	}
	return s
}

// 6, learning: what metrics.jsonl has.

// Titles of charts.
const mlmRight, nspRight = "MLM: right, in %", "NSP: right, in %"

// learning makes the charts, and a table of some of the reports.
func (r *reporter) learning(past history) (charts []*chart, table [][]string) {
	line := func(name, split, column string, scale float64) series {
		s := series{Name: name, x: past[split]["step"]}
		for _, y := range past[split][column] {
			s.y = append(s.y, scale*y)
		}
		if len(s.y) != len(s.x) { // not in each report
			return series{Name: name}
		}
		return s
	}
	var marks []signpost
	if s := r.Settings; s != nil && s.ShortSteps() > 0 && s.ShortSteps() < s.Steps {
		marks = append(marks, signpost{float64(s.ShortSteps()), "from here longer sequences"})
	}
	nsp := line("", "heldout", "nsp_accuracy", 1)
	if at := slices.IndexFunc(nsp.y, inItsPlace); at >= 0 {
		marks = append(marks, signpost{nsp.x[at], "NSP falls into place"})
	}
	for _, c := range []struct {
		title, column string
		scale         float64
		levels        []signpost
	}{
		{"MLM: loss", "mlm_loss", 1, append(level(past, "unigram_loss", 1, "by how common each word is"), signpost{ln(float64(r.m.Config.VocabSize)), "all words alike"})},
		{mlmRight, "mlm_accuracy", 100, level(past, "unigram_accuracy", 100, "always the commonest word")},
		{"NSP: loss", "nsp_loss", 1, []signpost{{math.Ln2, "a coin"}}},
		{nspRight, "nsp_accuracy", 100, []signpost{{50, "a coin"}}},
		{"Learning rate, in thousandths", "learning_rate", 1000, nil},
		{"Norm of the gradient", "gradient_norm", 1, nil},
		{"Loss", "loss", 1, nil},
		{"Score, in %", "score", 100, nil},
	} {
		lines := []series{line("in training", "train", c.column, c.scale), line("held out", "heldout", c.column, c.scale)}
		if chart := newChart(c.title, past.unit(), lines, c.levels, marks); chart != nil {
			charts = append(charts, chart)
		}
	}
	steps := past["heldout"]["step"]
	for _, i := range append([]int{-1}, spread(len(steps), 20)...) {
		var row []string
		for _, column := range []string{"step", "mlm_loss", "mlm_accuracy", "nsp_loss", "nsp_accuracy", "score"} {
			if all := past["heldout"][column]; len(all) != len(steps) || len(all) == 0 {
				continue
			} else if i < 0 {
				row = append(row, column)
			} else {
				row = append(row, fmt.Sprintf("%.4g", all[i]))
			}
		}
		table = append(table, row)
	}
	return charts, table
}

// level is the last held-out value of what needs no model.
func level(past history, column string, scale float64, name string) []signpost {
	all := past["heldout"][column]
	if len(all) == 0 {
		return nil
	}
	return []signpost{{scale * all[len(all)-1], name}}
}

// inItsPlace tells whether next sentence prediction is clearly better than a coin.
func inItsPlace(accuracy float64) bool { return accuracy > 0.65 }

// spread are at most most of n indices, evenly apart, with the first and the last.
func spread(n, most int) (at []int) {
	for i := range min(n, most) {
		at = append(at, i*(n-1)/max(min(n, most)-1, 1))
	}
	return at
}

// moments are the best guesses for the masked token as training went on.
func (r *reporter) moments() (shown []shownGuess) {
	for _, m := range r.Moments {
		g := shownGuess{What: fmt.Sprintf("Step %d", m.Step)}
		for _, guess := range m.Best {
			g.Bars = append(g.Bars, bar{guess.Token, float64(guess.Probability), false, percent(float64(guess.Probability))})
		}
		shown = append(shown, g)
	}
	return shown
}

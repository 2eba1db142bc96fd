package main

import (
	"fmt"
	"html/template"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// The commands, what is on the page, its second half: what the model has become, what it is good
// for, and how it was made.

// 3, attention.

// An attentionView is what all heads of all layers make of the pair.
type attentionView struct {
	Layers [][]headView
	Kept   int // weights of a token that the lines have, of as many as there are tokens; 0: all
	Data   attentionData
}

type headView struct {
	Layer, Head, Number int // Number counts all heads
	Picture             template.URL
	Habits              string
}

// attentionData is what the page's script draws lines of: for each head and token other tokens
// and their shares in thousandths.
type attentionData struct {
	Tokens   []string  `json:"tokens"`
	Segments []int32   `json:"segments"`
	Heads    [][][]int `json:"heads"`
}

func (r *reporter) attention() *attentionView {
	const pictureSize, weights = 40, 150_000
	n, heads := len(r.Pair.Tokens), r.m.Config.NumAttentionHeads
	v := &attentionView{Data: attentionData{Segments: r.Pair.Segments}}
	for _, id := range r.Pair.Tokens {
		v.Data.Tokens = append(v.Data.Tokens, r.token(id))
	}
	keep := max(4, weights/(n*heads*len(r.m.encoder)))
	if keep < n {
		v.Kept = keep
	}
	for i, layer := range r.m.encoder {
		var row []headView
		for head := range heads {
			var square [][]float32
			var lines [][]int
			for token := range n {
				shares := layer.attention.Weights(token, head+1)
				var line []int
				for _, j := range descending(shares)[:min(keep, n)] {
					if thousandths := int(float32(1000*shares[j]) + 0.5); thousandths > 0 {
						line = append(line, j, thousandths)
					}
				}
				square, lines = append(square, shares), append(lines, line)
			}
			row = append(row, headView{i + 1, head + 1, len(v.Data.Heads), pixels(shrunk(square, pictureSize), 0.6), habitWords(habitsOf(layer.attention, head+1, r.Pair.Tokens, r.t.sep))})
			v.Data.Heads = append(v.Data.Heads, lines)
		}
		v.Layers = append(v.Layers, row)
	}
	return v
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

// habitWords says what a head does where that is clear.
func habitWords(h habits) string {
	for k, share := range h[:4] {
		if share >= 0.5 {
			return fmt.Sprintf("looks mostly at %s (%.0f%%)", habitNames[k], 100*share)
		}
	}
	text := "looks here and there:"
	for k, share := range h {
		text += fmt.Sprintf(" %s %.0f%%,", habitNames[k], 100*share)
	}
	return strings.TrimSuffix(text, ",")
}

// What the words have become: their vectors, in the two directions in which they differ most.

// A wordMap has the commonest words.
type wordMap struct {
	When string
	Dots []dot
}

// wordMaps is one map, or none without words. Those who point at a word are told its
// neighbours where the vectors are given.
func (r *reporter) wordMaps(when string, l *look, vectors [][]float32) []wordMap {
	if len(r.Words) == 0 {
		return nil
	}
	var words []string
	for _, id := range r.Words {
		words = append(words, r.token(id))
	}
	tips := slices.Clone(words)
	for i := range vectors {
		tips[i] = nearest(words, vectors, i, 5)
	}
	return []wordMap{{when, mapOf(words, l.Points, tips)}}
}

// 8, transfer: what pre-training is worth, over how many sentences have labels.

func studyChart(rows []StudyRow) *chart {
	var lines []series
	for _, way := range ways {
		s := series{Name: way}
		for i, row := range rows { // evenly apart, however many labels there are
			score := row.Score[way]
			s.x, s.names = append(s.x, float64(i)), append(s.names, row.Size())
			s.y, s.spread = append(s.y, 100*score.Mean), append(s.spread, 100*score.Spread)
		}
		lines = append(lines, s)
	}
	return newChart("Right, in %", "labels a class", lines, nil, nil)
}

// 7, how it was made.

// made are the parts of the parameters, and a table of settings.
func (r *reporter) made(past history) (parts []bar, table [][2]string) {
	sizes, total := partSizes(r.m), len(r.m.Value)
	for i, name := range [3]string{"embeddings", "layers", "heads on top"} {
		parts = append(parts, bar{Name: name, Share: ratio(float64(sizes[i]), total), Value: fmt.Sprintf("%d (%.0f%%)", sizes[i], 100*ratio(float64(sizes[i]), total))})
	}
	add := func(name, format string, args ...any) {
		table = append(table, [2]string{name, fmt.Sprintf(format, args...)})
	}
	c := &r.m.Config
	add("model", "%s: %d layers, %d heads, hidden size %d, intermediate size %d, %d words, %d positions", c.Architecture(), c.NumHiddenLayers, c.NumAttentionHeads, c.HiddenSize, c.IntermediateSize, c.VocabSize, c.MaxPositionEmbeddings)
	add("parameters", "%d", total)
	if all := past["train"]["tokens"]; len(all) > 0 {
		add("tokens", "%.0f", all[len(all)-1])
	}
	if all := past["train"]["tokens_per_second"]; len(all) > 0 {
		sorted := slices.Sorted(slices.Values(all))
		add("tokens a second", "%.0f (the median)", sorted[len(sorted)/2])
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
	return parts, table
}

var capitals = regexp.MustCompile("[A-Z]")

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

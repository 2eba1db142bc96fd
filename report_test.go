package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A shownPage is a page that has been parsed: the text of each element, and its attributes.
type shownPage struct {
	text     string // all text, but for scripts and styles
	elements map[string]int
	tips     []string
}

var scripts = regexp.MustCompile(`(?s)<(script|style)[^>]*>.*?</(script|style)>`)

// parsePage fails if a page is not well-formed, if an id is there twice, if what is referred to is
// not there, or if there is an address outside of the page.
func parsePage(t testing.TB, page string) *shownPage {
	t.Helper()
	p := &shownPage{elements: map[string]int{}}
	ids, references := map[string]int{}, []string{}
	decoder := xml.NewDecoder(strings.NewReader(scripts.ReplaceAllString(strings.TrimPrefix(page, "<!DOCTYPE html>"), "<script/>")))
	decoder.Entity = xml.HTMLEntity
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		switch token := token.(type) {
		case xml.CharData:
			p.text += string(token)
		case xml.StartElement:
			p.elements[token.Name.Local]++
			for _, a := range token.Attr {
				switch {
				case a.Name.Local == "id":
					ids[a.Value]++
				case a.Name.Local == "href":
					references = append(references, a.Value)
				case a.Name.Local == "data-tip":
					p.tips = append(p.tips, a.Value)
				case slices.Contains([]string{"action", "srcset", "formaction", "data"}, a.Name.Local):
					t.Errorf("the page has %s=%q", a.Name.Local, a.Value)
				case a.Name.Local == "style" && !regexp.MustCompile(`^--share: [\d.]+$`).MatchString(a.Value), a.Name.Local == "src" && !strings.HasPrefix(a.Value, "data:image/png;base64,"), strings.HasPrefix(a.Name.Local, "on"):
					t.Errorf("the page has %s=%q", a.Name.Local, a.Value)
				}
			}
		}
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("id %q is there %d times", id, n)
		}
	}
	for _, name := range regexp.MustCompile(`getElementById\("(\w+)"\)`).FindAllStringSubmatch(page, -1) {
		if name[1] != "weights" || strings.Contains(page, `<script type="application/json"`) {
			references = append(references, "#"+name[1])
		}
	}
	for _, reference := range references {
		if id, inside := strings.CutPrefix(reference, "#"); !inside || ids[id] == 0 && !strings.Contains(page, `id="`+id+`"`) {
			t.Errorf("the page refers to %q", reference)
		}
	}
	for _, address := range regexp.MustCompile(`https?://[\w.]+|url\(|@import|fetch\(|import\(`).FindAllString(reportText, -1) {
		if address != "http://www.w3.org" { // SVG's name, which nobody fetches
			t.Errorf("the page has the address %s", address)
		}
	}
	return p
}

// reportOf is the page of a folder, made anew.
func reportOf(t *testing.T, dir string) (string, *shownPage) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "page.html")
	status, stdout, stderr := runHere("", "report", "-model", dir, "-out", name)
	equal(t, fmt.Sprint(status, stdout, stderr), fmt.Sprint(exitDone, "wrote "+name+"\n"))
	data, err := os.ReadFile(name)
	check(t, err)
	return string(data), parsePage(t, string(data))
}

// A pre-training has a page beside it, while it goes on and in the end, and report makes the very
// same anew: its numbers are those of metrics.jsonl and of the model.
func TestReportOfPreTraining(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "run")
	status, _, stderr := runHere("", smallRun(t, dir, "-out", out, "-steps", "30", "-log-every", "10")...)
	equal(t, status, exitDone, stderr)
	beside, err := os.ReadFile(filepath.Join(out, reportFile))
	check(t, err)
	text, page := reportOf(t, out)
	equal(t, text == string(beside), true)
	m, tokenizer, _, err := LoadModel(out)
	check(t, err)
	var past pastRun
	check(t, readJSON(filepath.Join(out, pastRunFile), &past))

	for _, id := range []string{"input", "tasks", "learning", "attention", "words", "made"} {
		equal(t, strings.Contains(text, `<section id="`+id+`">`), true, id)
	}
	lines, err := os.ReadFile(filepath.Join(out, metricsFile))
	check(t, err)
	reports := 0
	for line := range strings.Lines(string(lines)) {
		var r Metrics
		check(t, json.Unmarshal([]byte(line), &r))
		if r.Split == "heldout" {
			reports++
			row := ""
			for _, v := range []float64{float64(r.Step), r.MLMLoss, r.MLMAccuracy, r.NSPLoss, r.NSPAccuracy} {
				row += fmt.Sprintf("<td>%.4g</td>", v)
			}
			equal(t, strings.Contains(text, "<tr>"+row+"</tr>"), true, row)
			tip := fmt.Sprintf("held out: %s, step %d", short(r.MLMLoss), r.Step)
			equal(t, slices.Contains(page.tips, tip), true, tip)
		}
	}
	equal(t, reports, 3)
	equal(t, len(past.Moments), 4)
	equal(t, len(past.Before.Near), len(past.Words))
	for _, near := range past.Before.Near {
		equal(t, slices.Contains(page.tips, near), true, near)
	}

	m.EncodeOne(past.Pair.Tokens, past.Pair.Segments)
	for i := range past.Pair.Tokens {
		for _, v := range m.embeddings.Vectors(i) {
			equal(t, slices.Contains(page.tips, numbersOf(v)), true, numbersOf(v))
		}
	}
	var drawn struct {
		Tokens []string
		Layers [][]headView
	}
	_, data, _ := strings.Cut(text, `id="weights">`)
	data, _, _ = strings.Cut(data, "</script>")
	check(t, json.Unmarshal([]byte(data), &drawn))
	equal(t, drawn.Tokens, tokenizer.Tokens(past.Pair.Tokens))
	for l, layer := range m.encoder {
		for h := range layer.attention.heads {
			for i, line := range drawn.Layers[l][h].Lines {
				shares := layer.attention.Weights(i, h+1)
				for k := 0; k < len(line); k += 2 {
					closeTo(t, float64(line[k+1])/1000, float64(shares[line[k]]), 0.00051)
				}
			}
		}
	}
	masks := m.Fill(tokenizer, BatchOf(past.Masked.Tokens, past.Masked.Segments), 5)[0][0].Best
	equal(t, past.Moments[3], moment{30, masks})
	for _, g := range masks {
		equal(t, strings.Contains(page.text, g.Token+percent(float64(g.Probability))) || strings.Contains(page.text, g.Token+" ✓"+percent(float64(g.Probability))), true, g.Token)
	}
}

func closeTo(t *testing.T, got, want, within float64) {
	t.Helper()
	if d := got - want; !(d <= within && d >= -within) {
		t.Errorf("got %v, want %v within %v", got, want, within)
	}
}

// A page is written over a page, but over nothing else, and to standard output.
func TestReportsAreWrittenOverReports(t *testing.T) {
	dir, _ := savedModel(t)
	folder := filepath.Join(dir, "folder.html")
	check(t, os.Mkdir(folder, 0o777))
	fails(t, exitUsage, []string{"report", "-model", dir, "-out", filepath.Join(dir, modelFile)}, "-out is ", "want a name that ends in .html or .svg")
	fails(t, exitUsage, []string{"explain", "-model", dir, "-html", "page.txt", "A"}, "-html is ", "want a name that ends in .html or .svg")
	fails(t, exitFailed, []string{"report", "-model", dir, "-out", folder}, folder+" is a folder, want a file")
	for range 2 {
		status, _, stderr := runHere("", "report", "-model", dir)
		equal(t, status, exitDone, stderr)
	}
	_, text, stderr := runHere("", "report", "-model", dir, "-out", "-")
	beside, err := os.ReadFile(filepath.Join(dir, reportFile))
	check(t, err)
	equal(t, text == string(beside) && stderr == "", true)
}

// A fine-tuned model of each kind has a page, with the score and, of labels, the table.
func TestReportOfTasks(t *testing.T) {
	model, _ := trained(t)
	for _, c := range []struct{ task, train, what string }{
		{"classify", "task.tsv", "Its label"},
		{"answer", "testdata/questions.json", "It begins with"},
		{"tag", "testdata/names.conll", "1: "},
		{"regress", "testdata/alike.tsv", "Given, and what is right in brackets"},
		{"multilabel", "testdata/about.tsv", "Given, and what is right in brackets"},
	} {
		out := filepath.Join(t.TempDir(), c.task)
		status, stdout, stderr := runHere("", "finetune", "-model", model, "-task", c.task, "-train", c.train, "-out", out, "-epochs", "2")
		equal(t, status, exitDone, stderr)
		name := map[string]string{"classify": "accuracy", "regress": "Pearson"}[c.task]
		equal(t, strings.Count(stderr, "% "+cmp.Or(name, "F1")+"\n"), 2, stderr) // an epoch a line
		beside, err := os.ReadFile(filepath.Join(out, reportFile))
		check(t, err)
		text, page := reportOf(t, out)
		equal(t, text == string(beside), true, c.task)
		for _, part := range []string{c.what, strings.TrimSpace(stdout), "finetune -model " + model} {
			equal(t, strings.Contains(page.text, part), true, c.task+": "+part)
		}
		var past pastRun
		check(t, readJSON(filepath.Join(out, pastRunFile), &past))
		if past.Classes != nil {
			cells := regexp.MustCompile(`<td class="heat"[^>]*>(\d+)</td>`).FindAllStringSubmatch(text[strings.Index(text, `right \ given`):], -1)
			var numbers []string
			for _, row := range past.Classes.Confusion {
				for _, n := range row {
					numbers = append(numbers, strconv.Itoa(n))
				}
			}
			for i, n := range numbers {
				equal(t, cells[i][1], n)
			}
		}
		equal(t, past.Classes != nil, c.task == "classify")

		// What stands there of the run is what it did, and the words are those of the pre-training.
		var before pastRun
		check(t, readJSON(filepath.Join(model, pastRunFile), &before))
		equal(t, past.Words, before.Words)
		steps := regexp.MustCompile(`steps\s*(\d+)\s*batch\s*8\s*max seq\s*(\d+)\s*learning rate\s*[\d.]+\s*warmup\s*(\d+)`).FindStringSubmatch(page.text)
		if steps == nil {
			t.Fatalf("%s: no steps in %q", c.task, page.text[len(page.text)-400:])
		}
		equal(t, fmt.Sprint(steps[1:]), fmt.Sprint([]int{past.Settings.Steps, past.Settings.MaxSeq, past.Settings.Warmup}))
		equal(t, past.Settings.Steps > 2 && past.Settings.Steps%2 == 0 && past.Settings.Warmup == past.Settings.Steps/10, true, c.task)
		equal(t, strings.Contains(page.text, "what it never trains on") && !past.OnTraining, true, c.task)
		scored := slices.ContainsFunc(page.tips, func(tip string) bool { return strings.HasPrefix(tip, "in training: 0, ") })
		equal(t, scored, false, c.task)
	}
}

// Where nothing can be held out, the page does not say that something is.
func TestReportOfFewExamples(t *testing.T) {
	model, _ := trained(t)
	dir := t.TempDir()
	few, out := filepath.Join(dir, "few.tsv"), filepath.Join(dir, "out")
	check(t, os.WriteFile(few, []byte("a\tNora bakes.\nb\tTom sells.\na\tPip bakes.\n"), 0o644))
	status, _, stderr := runHere("", "finetune", "-model", model, "-task", "classify", "-train", few, "-out", out, "-epochs", "2")
	equal(t, status, exitDone, stderr)
	_, page := reportOf(t, out)
	equal(t, strings.Contains(page.text, "what it never trains on"), false)
	equal(t, strings.Contains(page.text, "is what it trains on, too"), true)
}

// Of a fine-tuning the page says after which epoch the model was saved, not which was the last.
func TestReportSaysWhichEpoch(t *testing.T) {
	for _, c := range []struct {
		best [3]bool
		want float64
	}{{[3]bool{true, true, true}, 3}, {[3]bool{true, true, false}, 2}, {[3]bool{true, false, false}, 1}} {
		lines := ""
		for i, best := range c.best {
			lines += fmt.Sprintf(`{"epoch":%d,"loss":1,"accuracy":0.5,"score":0.5,"best":%v}`+"\n", i+1, best)
		}
		h, err := readHistory(strings.NewReader(lines))
		check(t, err)
		step, ok := h.reached()
		equal(t, fmt.Sprint(step, ok), fmt.Sprint(c.want, true))
	}
}

// explain -html is a page of one's own sentences, with what explain shows of them; also of a
// vocabulary alone, and of a long text.
func TestExplainInPictures(t *testing.T) {
	model, _ := trained(t)
	name := filepath.Join(t.TempDir(), "page.html")
	for _, args := range [][]string{
		{"-model", model, "The [MASK] is warm.", "Nora bakes."},
		{"-vocab", filepath.Join(model, vocabFile), "The bread."},
		{"-model", model, strings.Repeat("word ", 400)},
	} {
		status, stdout, stderr := runHere("", append([]string{"explain", "-html", name}, args...)...)
		equal(t, status, exitDone, stderr)
		equal(t, stdout, "")
		data, err := os.ReadFile(name)
		check(t, err)
		page := parsePage(t, string(data))
		if strings.Contains(args[2], "[MASK]") {
			_, shown, _ := runHere("", append([]string{"explain"}, args...)...)
			m, tokenizer, _, err := LoadModel(model)
			check(t, err)
			ids, segments, _ := tokenizer.Sequence(args[2], args[3], 1000)
			for _, g := range m.Fill(tokenizer, BatchOf(ids, segments), 5)[0][0].Best {
				equal(t, strings.Contains(page.text, g.Token+percent(float64(g.Probability))), true, g.Token)
				equal(t, strings.Contains(shown, fmt.Sprintf("%5.1f%%  %s\n", 100*g.Probability, g.Token)), true, g.Token)
			}
		}
	}
}

// odd is a page whose words, label, folder and command are some text.
func odd(t testing.TB, text string) string {
	m := smallModel(t)
	r := &reporter{c: &call{}, m: m, t: &Tokenizer{}, dir: text}
	for range m.Config.VocabSize {
		r.t.Vocabulary = append(r.t.Vocabulary, text)
	}
	r.Pair = Case{Tokens: []int32{1, 2, 3}, Segments: []int32{0, 0, 1}}
	r.Masked, r.Words, r.Command, r.Score = r.Pair, []int32{1, 2, 3}, text, text
	r.Cases = []Case{{Tokens: []int32{1, 2, 3}, Segments: []int32{0, 0, 1}, Targets: []int{1}, Labels: []int32{2, 0}}}
	r.Moments = []moment{{1, []Guess{{text, 0.5}}}}
	r.Classes = &ClassScore{Labels: []LabelScore{{Label: text}}, Confusion: Confusion{{1}}}
	check(t, r.refresh())
	var page strings.Builder
	check(t, r.draw(&page, "page"))
	return page.String()
}

var hostileTexts = []string{
	"<script>alert(1)</script>", `"'><img src=x onerror=alert(1)>`, "a\x00b", "\u202eright to left", strings.Repeat("W", 10_000), "</script><!--", "{{.}}", "\xff\xfe", "]]>", "javascript:alert(1)", "&amp;", "`${x}`",
}

// checkOdd fails if a text does not stand in its page as text.
func checkOdd(t testing.TB, text string) {
	t.Helper()
	page := odd(t, text)
	p, plain := parsePage(t, page), parsePage(t, odd(t, "word"))
	for name, n := range plain.elements {
		if text != "" && p.elements[name] != n && name != "text" && name != "script" { // a long word has no room on the map
			t.Errorf("with %.40q there are %d elements %s, want %d", text, p.elements[name], name, n)
		}
	}
	for name := range p.elements {
		if plain.elements[name] == 0 {
			t.Errorf("with %.40q there is an element %s", text, name)
		}
	}
	for _, script := range scripts.FindAllString(page, -1) {
		if strings.Contains(text, "<") && strings.Contains(script, text) {
			t.Errorf("%.40q stands in a script", text)
		}
	}
}

// Text of the corpus and of the user stands in the page as text, whatever it is.
func TestTextStaysText(t *testing.T) {
	for _, text := range hostileTexts {
		checkOdd(t, text)
		if shown := parsePage(t, odd(t, text)).text; !strings.ContainsAny(text, "\x00\xff") && !strings.Contains(shown, text) {
			t.Errorf("%.40q does not stand in the page", text)
		}
	}
}

func FuzzReport(f *testing.F) {
	for _, text := range hostileTexts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { checkOdd(t, text) })
}

// A run of a million steps has a page under 2 MB, on which its extremes are.
func TestLongRunsArePut(t *testing.T) {
	dir, _ := savedModel(t)
	metrics, err := os.Create(filepath.Join(dir, metricsFile))
	check(t, err)
	out := bufio.NewWriter(metrics)
	const steps = 1_000_000
	for step := 20; step <= steps; step += 20 {
		for _, split := range []string{"train", "heldout"} {
			loss := 3.0
			if step == 500_020 {
				loss = 987.25
			}
			fmt.Fprintf(out, `{"step":%d,"split":%q,"mlm_loss":%v,"mlm_accuracy":0.5,"nsp_loss":0.5,"nsp_accuracy":0.6,"learning_rate":0.1,"gradient_norm":%d}`+"\n", step, split, loss, step%777)
		}
	}
	fmt.Fprint(out, `{"step":`) // cut off
	check(t, out.Flush())
	check(t, metrics.Close())
	text, page := reportOf(t, dir)
	if len(text) > 2_000_000 {
		t.Errorf("the page has %d bytes", len(text))
	}
	equal(t, strings.Contains(page.text, "After 1000000 steps"), true)
	var points []point
	for i := range steps {
		points = append(points, point{X: float64(i), Y: float64(i % 1000)})
	}
	points[123_456].Y, points[steps-1].Y = 1e6, 500
	kept := thinned(points, 400)
	inOrder := slices.IsSortedFunc(kept, func(a, b point) int { return cmp.Compare(a.X, b.X) })
	equal(t, len(kept) <= 401 && slices.Contains(kept, points[123_456]) && kept[0] == points[0] && kept[len(kept)-1] == points[steps-1] && inOrder, true)
}

// Of a long pair a run's page follows the beginning alone: with 512 tokens it had 3 MB.
func TestLongPairsAreCut(t *testing.T) {
	c := smallModel(t).Config
	c.MaxPositionEmbeddings = 200
	m, err := NewModel(c, 1)
	check(t, err)
	r := &reporter{m: m, t: &Tokenizer{}}
	r.follow(Case{Tokens: make([]int32, 200), Segments: make([]int32, 200)}, Case{})
	equal(t, []int{len(r.Pair.Tokens), len(r.Pair.Segments), len(r.Before.Vectors)}, []int{shownTokens, shownTokens, shownTokens})
}

// What is in report.json and cannot be of the model beside it is refused; nothing that is
// wrong in it or in metrics.jsonl is a crash.
func TestBadReports(t *testing.T) {
	dir, m := savedModel(t)
	_, tokenizer, _, err := LoadModel(dir)
	check(t, err)
	for _, c := range []struct{ file, text, want string }{
		{pastRunFile, `{"pair":{"Tokens":[99999],"Segments":[0]}}`, "it is not of the model beside it"},
		{pastRunFile, `{"pair":{"Tokens":[],"Segments":[]}}`, "it is not of the model beside it"},
		{pastRunFile, `{"pair":{"Tokens":[1],"Segments":[7]}}`, "it is not of the model beside it"},
		{pastRunFile, `{"words":[-1]}`, "it is not of the model beside it"},
		{pastRunFile, `{"cases":[{"Tokens":[1],"Segments":[0],"Targets":[1]}]}`, "it is not of the model beside it"},
		{pastRunFile, `{"before":{"vectors":[]}}`, "\"before\" is not of the same tokens"},
		{pastRunFile, `{"classes":{"labels":[{}],"confusion":[[1,2]]}}`, "\"classes\" has not a row"},
		{pastRunFile, `nonsense`, "it is not JSON"},
		{pastRunFile, `{"settings":{"Seed":"x"}}`, "found string at byte 23, want a whole number, 0 or more"},
		{pastRunFile, `{"moments":[{"best":[{"probability":"x"}]}]}`, "want a number"},
		{metricsFile, "nonsense\n", "line 1"},
	} {
		name := filepath.Join(dir, c.file)
		check(t, os.WriteFile(name, []byte(c.text), 0o666))
		status, _, stderr := runHere("", "report", "-model", dir)
		equal(t, fmt.Sprint(status, strings.Count(stderr, "\n"), strings.HasPrefix(stderr, "report: "+name), strings.Contains(stderr, c.want)), fmt.Sprint(exitFailed, 1, true, true), stderr)
		check(t, os.Remove(name))
	}
	for _, text := range []string{`{}`, `{` + strings.Repeat(" ", 2<<20) + `}`, `{"cases":[{"Tokens":[1],"Segments":[0]}],"study":[` + strings.Repeat("{},", 99) + `{}],"classes":{},"moments":[{}]}`, `{"pair":{"Tokens":[1],"Segments":[0]},"words":[],"before":{"vectors":[[]],"points":[]},"study":[{}]}`} {
		check(t, os.WriteFile(filepath.Join(dir, pastRunFile), []byte(text), 0o666))
		reportOf(t, dir)
	}
	check(t, os.WriteFile(filepath.Join(dir, metricsFile), []byte(`{"split":"train","step":1e300,"mlm_loss":-1e308}
{"split":"train","step":1.0000001e300,"mlm_loss":1e308,"nsp_loss":1e20}
{"split":"heldout","step":3,"mlm_loss":"?","nsp_loss":100000000000000000001}
`), 0o666))
	reportOf(t, dir)
	m.Value[0] = float32(math.NaN()) // the first number of the first word, which is on no map
	check(t, os.WriteFile(filepath.Join(dir, pastRunFile), []byte(`{"pair":{"Tokens":[0],"Segments":[0]}}`), 0o666))
	check(t, SaveModel(dir, m, tokenizer))
	status, _, stderr := runHere("", "report", "-model", dir)
	equal(t, fmt.Sprint(status, strings.Count(stderr, "\n")), fmt.Sprint(exitFailed, 1), stderr)
}

// The first principal component is the direction in which points differ most, the second the one
// across it: those of an ellipse are its axes.
func TestComponents(t *testing.T) {
	var vectors [][]float32
	for i := range 100 {
		a := 2 * math.Pi * float64(i) / 100
		long, small := 5*math.Cos(a), 2*math.Sin(a)
		vectors = append(vectors, []float32{float32(0.6*long - 0.8*small + 3), float32(0.8*long + 0.6*small - 1), 7})
	}
	points := components(vectors)
	for i, p := range points {
		a := 2 * math.Pi * float64(i) / 100
		closeTo(t, math.Abs(p[0]), math.Abs(5*math.Cos(a)), 1e-3)
		closeTo(t, math.Abs(p[1]), math.Abs(2*math.Sin(a)), 1e-3)
	}
}

// The greatest are the first that descending has, of equal ones too.
func TestGreatest(t *testing.T) {
	x := []float32{3, 1, 3, -2, 0, 3, 1}
	for n := range len(x) + 2 {
		equal(t, append([]int{}, greatest(x, n)...), append([]int{}, descending(x)[:min(n, len(x))]...))
	}
}

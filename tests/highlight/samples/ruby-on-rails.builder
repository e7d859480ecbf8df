# feed of deployments
xml.instruct! :xml, :version => "1.0"
xml.feed do
  @deployments.first(10).each do |d|
    xml.entry { xml.title "Deploy #{d.name}" } if d.live?
  end
end
